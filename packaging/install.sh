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
$sudo apt-get update -q
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -q -y --no-install-recommends $missing
