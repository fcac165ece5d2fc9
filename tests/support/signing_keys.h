/*
 * signing_keys.h - private keys for tests of DKIM: those printed in RFC 8463, and those that are
 * refused.  Not secret, and of no use elsewhere.
 */
#ifndef WAXSEAL_TESTS_SUPPORT_SIGNING_KEYS_H
#define WAXSEAL_TESTS_SUPPORT_SIGNING_KEYS_H

#define KEY_RSA_1023                                                                               \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MIICcwIBADANBgkqhkiG9w0BAQEFAASCAl0wggJZAgEAAoGAXxlTm39b8ixjNPvR\n"                           \
    "133FLDKyRYmVS33enKSjsUJcpaQ+50sM/N+zuO50N0nR0jwCwOqHGJ1PFM5r81SI\n"                           \
    "5jcxcgr4OKLtdEWwbGi3Fw1hC3edZWDScRr6ebVCCoCdT9NUog/gklqBaKBPXOUZ\n"                           \
    "tWNPCCVgGJ5XPxoNRlyl2gPb7zMCAwEAAQKBgCvPjyTj14gJyupt2I5d8qgZ8ub2\n"                           \
    "K0FMC3I+purSl7v3nsMPYDxfEnzv3bpa177yxpH5eaNtVTFQp4rCNw9X/f7fwSX6\n"                           \
    "Q+GZlgRLpn15MTkcPmueP14ZYLXr3ULi8yHOEQVETsc31JphamJaPfO8cBbKnCuY\n"                           \
    "ql+YAunki2nGKm4BAkEA67t0aq/SE5TQdP98nyAqbxtb0X4hMDfXAtpj9nOF/n8+\n"                           \
    "QpmGMUWNnfAzKRAaJ3mT4CQce2y679IhaviVB+jOkQJAZ0Z8Wyij+xlSItZSZSzH\n"                           \
    "9OiIkhXNMomGx2futjQPAqoVnRUGaDfETVqndPJKBJXvf9EHOEzwZ809TO83ijoL\n"                           \
    "gwJATo2t8qtaVvodKQ/GKISgf1vfkgT07Et/U80QyJyghzlBtxHP3PVvhrT3Z3Sd\n"                           \
    "MpBaDbQa5apK9QXR6wKhLvyOcQJARRoRnUE9L4dKwQqcyRvEk2d/8hdqXHVO3F/7\n"                           \
    "hqignozFt3xY9CTUUVnmEEcKJbVZMjHf3dkFRr86VB8AD5o1FwJAZzk84SeIB9UZ\n"                           \
    "srT2yvYFq7APwOsBezyf9we+um7lkCWVH8wgEFnUPCfZf89buprimMiemTaaKQpm\n"                           \
    "kD/ORJPzQA==\n"                                                                               \
    "-----END PRIVATE KEY-----\n"

/* the RSA key of RFC 8463 appendix A.2 */
#define KEY_RSA_1024                                                                               \
    "-----BEGIN RSA PRIVATE KEY-----\n"                                                            \
    "MIICXQIBAAKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi\n"                           \
    "Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqM\n"                           \
    "KrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB\n"                           \
    "AoGAH0cxOhFZDgzXWhDhnAJDw5s4roOXN4OhjiXa8W7Y3rhX3FJqmJSPuC8N9vQm\n"                           \
    "6SVbaLAE4SG5mLMueHlh4KXffEpuLEiNp9Ss3O4YfLiQpbRqE7Tm5SxKjvvQoZZe\n"                           \
    "zHorimOaChRL2it47iuWxzxSiRMv4c+j70GiWdxXnxe4UoECQQDzJB/0U58W7RZy\n"                           \
    "6enGVj2kWF732CoWFZWzi1FicudrBFoy63QwcowpoCazKtvZGMNlPWnC7x/6o8Gc\n"                           \
    "uSe0ga2xAkEA8C7PipPm1/1fTRQvj1o/dDmZp243044ZNyxjg+/OPN0oWCbXIGxy\n"                           \
    "WvmZbXriOWoSALJTjExEgraHEgnXssuk7QJBALl5ICsYMu6hMxO73gnfNayNgPxd\n"                           \
    "WFV6Z7ULnKyV7HSVYF0hgYOHjeYe9gaMtiJYoo0zGN+L3AAtNP9huqkWlzECQE1a\n"                           \
    "licIeVlo1e+qJ6Mgqr0Q7Aa7falZ448ccbSFYEPD6oFxiOl9Y9se9iYHZKKfIcst\n"                           \
    "o7DUw1/hz2Ck4N5JrgUCQQCyKveNvjzkkd8HjYs0SwM0fPjK16//5qDZ2UiDGnOe\n"                           \
    "uEzxBDAr518Z8VFbR41in3W4Y3yCDgQlLlcETrS+zYcL\n"                                               \
    "-----END RSA PRIVATE KEY-----\n"

#define KEY_RSA_2047                                                                               \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MIIEuQIBADANBgkqhkiG9w0BAQEFAASCBKMwggSfAgEAAoIBAHQRcomd2Kt3ijG2\n"                           \
    "RiKod+TKv/ruCfiq7ePqtp0KCIevVQXvtBQQzesNSImISTEgk42/4U3VkIX1rwR7\n"                           \
    "aTHw1SvCM2XYMgd4CNoOlf2fbnb/OSfCJt74S11UTFwpTnQVD5Z454eVNHaPLRCe\n"                           \
    "jqgJiBTYedjMU9ab0pHr6X1UqX9ZI50aY2B3O25GT45UawX/wDhCzpRda9mk2W+6\n"                           \
    "sXu5Bq97pZUXCVPI+CbgrjJK/LAnYcVQgzjfQGEEyEuwFVY4jrdEAjhhoWoq8Gb+\n"                           \
    "21Lw//2RxiJgrOPNHlqCdIpR6iUdfyUk6dW0qShujZGhYxyDddR4O7ChPXDm61KH\n"                           \
    "XHW4mykCAwEAAQKCAQAyK3h+06PcOgeaBVe7k2Z/lsP1Cv90ZS3+3m2g471cKQVv\n"                           \
    "U3VbVwgrGcrI6Af7HEGre80/f5jAzrmgDlgiJh9+kqr00saNQ+1PlA5xWoC9HwTt\n"                           \
    "kpaKuniZFt8K1y/6LUBXolsx1+SderXYATFYoQYZPJkuhOOYWDJksLx0WCwLxzhL\n"                           \
    "jVgwPq3XPeZAdalbs746WXibnqd/XswdmfC00uccF2Oefz8Sp834afyxljoSJ4rJ\n"                           \
    "U8xLg3AVTypX06mgwUO4qFCTOg7lptkncVcUVpfrK6IqgiPLdamXq1EKNiPrQ2ZX\n"                           \
    "9g10PS+rLrVnC4wKjsO9uAnRp6VkJyvy7TyCAjKhAoGBAOhu89yBYiTK47QZXbW1\n"                           \
    "HB4rf2iw+hOZyCgdbo6qc7PEg5hykvadY3CSyrfshPQj+kwYSE33umRLPJN64Tmx\n"                           \
    "HO8dwx1B3hXkhFULTVD6lqYq5Eau/cVXUdsqzVS5O1BN/hWgIc1nakWX9ZdhxRmg\n"                           \
    "x4laDye1LXq/+iPVMD1DEohrAoGAf9Ydh0Eyv0BOUJK22sDB2nU70PwetSrpYp+r\n"                           \
    "8YXVX8utqVAuWh+rbyP0g944J9koH7eZnd95fFvFdlMs+WQWczFJ3bOLQvCGTSY+\n"                           \
    "h+h1tmsLprlm9+jKTv6lgH+wwLkNweg8GofJha9JBi9GBzR/SGXqovflfZ04HFia\n"                           \
    "bzx+H7sCgYEAxSbfmEjym2yw6eGeN/OQDxMsNfvvktKdEVGtpjt0eqYUTSnZ+G8V\n"                           \
    "mrYYVxu6xm8B7qumIOQg6NNcZWgURGAzv6sKBfYJz54OlShKA4caY4X8LOxfepUP\n"                           \
    "bIyIr/WSFxKgk21JXrX6UV+MxEP88DkNJzcJpc+q7PSL0vsQuNX8kVMCgYB2E1oA\n"                           \
    "1Oq/lfEAIRN+KC6lzkTqugTPB4y8CIlzs08rhWCpE6NMoRXiuQ4fQwERZVXXPelI\n"                           \
    "1eJLSCSyLw9KZvUJfwwgF7dYo/sYhWuacs9PJ76CR5tg/obmwfQyJT8oM4UOhqgF\n"                           \
    "RUiRDx9e9Ak1nHq4b1JzJo+1H6N1Iy258uD4AwJ/BV0yzgCEYJjMtZV7z+FFB7Vy\n"                           \
    "Uhy1gKyRxNPZ/vdREt2PJxo8NDApR4yo5N7+A6L32OZIEc/ZdEbHQBzIXtfKRrxB\n"                           \
    "nYP3FuT129Qpo1U1V5BCFWKni9hVrT8YzUt9lBm6j7rbnFcRTXYgHhPbBTcRFnkd\n"                           \
    "sys+NtHU9mkvMbgpJA==\n"                                                                       \
    "-----END PRIVATE KEY-----\n"

/* PKCS#1; the others are PKCS#8 or of their own kind */
#define KEY_RSA_2048                                                                               \
    "-----BEGIN RSA PRIVATE KEY-----\n"                                                            \
    "MIIEogIBAAKCAQEAm2t+ErAgXqIw8qfYHaENPiVbPPNyNpRg548Fn+vZhSvov4ka\n"                           \
    "INBrn+hf4SZpXx1DIsuNc4GT6atZWVE3hPdptYHzt2hrkSlZZNtek1FH+JMHaKxl\n"                           \
    "w7bllj2aXsSr0Vk35PAspEJaRRnPKkGOb+ItLunhbMdhJ0VOhLICHrEAkUw4ZRgQ\n"                           \
    "WhQOHuq/BWHr/aVgqCZrQFPnlyaTwcftZOvdYfeDv33JggO1NeuI12TKQQm2/5m0\n"                           \
    "fUj8bdgSeOejQ1nk+K/PhMOnOUxU9aFdNzWZBy45wZOjJ0Dgj2kA+FTKfVWyzlTw\n"                           \
    "GXa/xATTKiK/Ge4EGxGaccds/vtaBwMjmCNbZwIDAQABAoIBACADitMXo3tKxnFd\n"                           \
    "YHdt8rff4wTRkq+qbbGU9NAluUckrcsyVwb2V4z3RTSwAFl+whL7QdZOlSS3Tm7G\n"                           \
    "+3wwqH4iWAzp/epHTaooQ7ltrzkFNCv8AvRHCtChPNiTg17alVhbnp5xKn38XH90\n"                           \
    "RH5IZQ06UNxiz2DS9mL/9c7Tn+3NpsyaBKsl/WKXNQA8YTDdyaZw0QmIv8XKAt6O\n"                           \
    "B7X7aM6S10GfPwofndmtYCUpw4mQmwVcmXYa0iLBnB2A8xxJqJ6eBVHovW/w632W\n"                           \
    "mVV0L0R4TmXwuRE0ut4hTJJVHGQEqChg5DjlA5KmdKGrOG+m2yzDMatCBws0bMcc\n"                           \
    "Um+S1MUCgYEAySDDEzlIaeFy2XiRi+3j1ZPyqFz/6U2nEKYjBjNWOE1zL2tXE3JZ\n"                           \
    "Q7yYS033LcuDelJouuty41+D1D4JILB6MKCIwZC2O+2rMz/PzDOqV5HuiILdxRaX\n"                           \
    "KD6hCLWasB4q7ZfgBQ8CURpgBBidYmT7RPaiQ5jQ/69qmbT5ubwdMz0CgYEAxdJf\n"                           \
    "kLz1UEbmqWX89dAdR5oTqmsQiKLDoGpCiwLWOseWhzzE2wiIUZJLyBM9JU3b8RGr\n"                           \
    "AmmPxqq3v3So41waB2s/DeD5TTTFfH+lr57FTJ19AR/uGqLqI147kYXCk1apNQ9L\n"                           \
    "uiWnWa+M6MfjSYSdIQViaEap5yNycpjiFP1UI3MCgYBnbDVjmT0nVQrd0SXmsnlJ\n"                           \
    "xj4tXUUrDwcthIDWG2fmo8zrQWMRWOeV8VDOyFSmc9Qz/lRkadY2HVOIvC2tZZIv\n"                           \
    "lx07i9JplplGTTXpZ1fcl+n0wHaRdkBcLXhZJilZDuo8KrDDaShj1BAziwTDJ/Id\n"                           \
    "UEW4RMiT8fv69hjD7XuGcQKBgH8qUjaH0aaOPV7t6ePWqcvKdxPZCWLcRqdLR4V3\n"                           \
    "CGH2xYQgA2fOH1tYkRCHlYnyeA2KzwSY+Uy7l60igCLPpQfZ4Em6smf4IW972vV/\n"                           \
    "OdObda0Qao6C5cJgpChS9Raj4dfzAjoiVGbp28oUHL642g1NGcpwim3EMqEKOGNH\n"                           \
    "yhuTAoGAJTCrZV1fF5CUc8AFu97YkW51iDBWuItxPlVt6wDgi6b2+hIhk7RDkf3N\n"                           \
    "KgtgAOwCwois7ENaWQZlp++lFwvEN9/QV4MFp0nCWI4m/EE61pu0xRNx+PHSKVAW\n"                           \
    "3omjXf1rV/YD/GsTb/fmRChNrV10KWtUlyuyAWIFD3oNLRS3cog=\n"                                       \
    "-----END RSA PRIVATE KEY-----\n"

/* not a real one: what is judged is its length */
#define KEY_RSA_8200                                                                               \
    "-----BEGIN RSA PRIVATE KEY-----\n"                                                            \
    "MIIEIAIBAAKCBAIAgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"                           \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAECAwEAAQIBAwIBAwIBBQIBAQIB\n"                           \
    "AQIBAQ==\n"                                                                                   \
    "-----END RSA PRIVATE KEY-----\n"

/* RSA_2048 with another private exponent: what it signs is not good */
#define KEY_RSA_BROKEN                                                                             \
    "-----BEGIN RSA PRIVATE KEY-----\n"                                                            \
    "MIIEogIBAAKCAQEAm2t+ErAgXqIw8qfYHaENPiVbPPNyNpRg548Fn+vZhSvov4ka\n"                           \
    "INBrn+hf4SZpXx1DIsuNc4GT6atZWVE3hPdptYHzt2hrkSlZZNtek1FH+JMHaKxl\n"                           \
    "w7bllj2aXsSr0Vk35PAspEJaRRnPKkGOb+ItLunhbMdhJ0VOhLICHrEAkUw4ZRgQ\n"                           \
    "WhQOHuq/BWHr/aVgqCZrQFPnlyaTwcftZOvdYfeDv33JggO1NeuI12TKQQm2/5m0\n"                           \
    "fUj8bdgSeOejQ1nk+K/PhMOnOUxU9aFdNzWZBy45wZOjJ0Dgj2kA+FTKfVWyzlTw\n"                           \
    "GXa/xATTKiK/Ge4EGxGaccds/vtaBwMjmCNbZwIDAQABAoIBACADitMXo3tKxnFd\n"                           \
    "YHdt8rff4wTRkq+qbbGU9NAluUckrcsyVwb2V4z3RTSwAFl+whL7QdZOlSS3Tm7G\n"                           \
    "+3wwqH4iWAzp/epHTaooQ7ltrzkFNCv8AvRHCtChPNiTg17alVhbnp5xKn38XH90\n"                           \
    "RH5IZQ06UNxiz2DS9mL/9c7Tn+3NpsyaBKsl/WKXNQA8YTDdyaZw0QmIv8XKAt6O\n"                           \
    "B7X7aM6S10GfPwofndmtYCUpw4mQmwVcmXYa0iLBnB2A8xxJqJ6eBVHovW/w632W\n"                           \
    "mVV0L0R4TmXwuRE0ut4hTJJVHGQEqChg5DjlA5KmdKGrOG+m2yzDMatCBws0bMcc\n"                           \
    "Um+SgZUCgYEAySDDEzlIaeFy2XiRi+3j1ZPyqFz/6U2nEKYjBjNWOE1zL2tXE3JZ\n"                           \
    "Q7yYS033LcuDelJouuty41+D1D4JILB6MKCIwZC2O+2rMz/PzDOqV5HuiILdxRaX\n"                           \
    "KD6hCLWasB4q7ZfgBQ8CURpgBBidYmT7RPaiQ5jQ/69qmbT5ubwdMz0CgYEAxdJf\n"                           \
    "kLz1UEbmqWX89dAdR5oTqmsQiKLDoGpCiwLWOseWhzzE2wiIUZJLyBM9JU3b8RGr\n"                           \
    "AmmPxqq3v3So41waB2s/DeD5TTTFfH+lr57FTJ19AR/uGqLqI147kYXCk1apNQ9L\n"                           \
    "uiWnWa+M6MfjSYSdIQViaEap5yNycpjiFP1UI3MCgYBnbDVjmT0nVQrd0SXmsnlJ\n"                           \
    "xj4tXUUrDwcthIDWG2fmo8zrQWMRWOeV8VDOyFSmc9Qz/lRkadY2HVOIvC2tZZIv\n"                           \
    "lx07i9JplplGTTXpZ1fcl+n0wHaRdkBcLXhZJilZDuo8KrDDaShj1BAziwTDJ/Id\n"                           \
    "UEW4RMiT8fv69hjD7XuDIQKBgH8qUjaH0aaOPV7t6ePWqcvKdxPZCWLcRqdLR4V3\n"                           \
    "CGH2xYQgA2fOH1tYkRCHlYnyeA2KzwSY+Uy7l60igCLPpQfZ4Em6smf4IW972vV/\n"                           \
    "OdObda0Qao6C5cJgpChS9Raj4dfzAjoiVGbp28oUHL642g1NGcpwim3EMqEKOGNH\n"                           \
    "yhvDAoGAJTCrZV1fF5CUc8AFu97YkW51iDBWuItxPlVt6wDgi6b2+hIhk7RDkf3N\n"                           \
    "KgtgAOwCwois7ENaWQZlp++lFwvEN9/QV4MFp0nCWI4m/EE61pu0xRNx+PHSKVAW\n"                           \
    "3omjXf1rV/YD/GsTb/fmRChNrV10KWtUlyuyAWIFD3oNLRS3cog=\n"                                       \
    "-----END RSA PRIVATE KEY-----\n"

/* the Ed25519 key of RFC 8463 appendix A.2 */
#define KEY_ED25519                                                                                \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"                           \
    "-----END PRIVATE KEY-----\n"

/* no key of DKIM */
#define KEY_P256                                                                                   \
    "-----BEGIN EC PRIVATE KEY-----\n"                                                             \
    "MHcCAQEEIEtjZ+3Podqv+b8RX1hvIXi4L8XGI/zEL4i/B/ujnMSVoAoGCCqGSM49\n"                           \
    "AwEHoUQDQgAE4+kVjt7hGMsN75ikL3B1iaY4kNgiSIvMYl6SlSVQMyVAagIIkq3A\n"                           \
    "4hJX7XbQJSiu00ZFjnKJBlSxR2C1MsFgHA==\n"                                                       \
    "-----END EC PRIVATE KEY-----\n"

/* wants a passphrase */
#define KEY_ENCRYPTED                                                                              \
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"                                                      \
    "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjNZvDa918wEwICCAAw\n"                           \
    "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEFVaI0/8F8qEc9RvzDU0+cEEQKvo\n"                           \
    "/g4b1e418zzIXUxuWoCxe/YYAvxzsjjIevHx+pAavmn+wih3SkTeZmebOv4wiwGO\n"                           \
    "QZMtNjYkYj1bh3KKhXM=\n"                                                                       \
    "-----END ENCRYPTED PRIVATE KEY-----\n"

#endif
