#!/bin/sh
# packaging/install.sh KIND...: installs what is missing of the packages in debian.list
# (kinds: build, run, try, test).  Says nothing when all is there.
set -eu
here=$(dirname "$0")
missing=
for kind in "$@"; do
    for name in $(awk -v kind="$kind" '$1 == kind { print $2 }' "$here/debian.list"); do
        dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed || missing="$missing $name"
    done
done
[ -n "$missing" ] || exit 0
sudo=
if [ "$(id -u)" -ne 0 ]; then
    sudo=sudo
    command -v sudo >/dev/null || { echo "These Debian packages are missing:$missing
Install them as root: apt-get install$missing" >&2; exit 1; }
fi
echo "Installing what is missing from Debian:$missing"
# The lab has its own name servers and web servers: those that come as services neither start nor stay.
$sudo env DEBIAN_FRONTEND=noninteractive sh -s $missing <<'AS_ROOT'
set -eu
no_services=/usr/sbin/policy-rc.d
if [ ! -e "$no_services" ]; then
    trap 'rm -f "$no_services"' EXIT
    trap 'exit 1' INT TERM
    printf '#!/bin/sh\nexit 101\n' > "$no_services"
    chmod 755 "$no_services"
fi
apt-get update -q < /dev/null
apt-get install -q -y --no-install-recommends "$@" < /dev/null
for service in knot unbound nginx; do
    case " $* " in *" $service "* | *" $service-light "*)
        ! command -v systemctl > /dev/null || systemctl -q disable "$service" ;;
    esac
done
AS_ROOT
