#!/bin/sh
# Installs the Debian packages named as arguments, without questions, recommended packages and started services.
# Where it may not (an ordinary user, another system), it says in one line what to install, and fails.
set -eu

if ! command -v apt-get >/dev/null; then
  echo "Not installed: $* (names of the Debian packages)" >&2
  exit 1
fi
if [ "$(id -u)" != 0 ]; then
  echo "Not installed: $*; to install: sudo apt-get install --no-install-recommends $*" >&2
  exit 1
fi

log=$(mktemp "${TMPDIR:-/tmp}/install-packages.XXXXXX")
policy=/usr/sbin/policy-rc.d # Debian's own way to say that installing a service must not start it
own_policy=
tidy() { rm -f "$log" ${own_policy:+"$policy"}; }
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [ ! -e "$policy" ]; then
  own_policy=1
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi

apt() { DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -qq -o DPkg::Lock::Timeout=120 "$@" >>"$log" 2>&1 </dev/null; }
install_packages() { apt install -y --no-install-recommends "$@"; }

echo "Installing Debian packages: $*"
if ! install_packages "$@"; then # package lists may be missing or out of date
  : >"$log"
  if ! { apt update && install_packages "$@"; }; then
    tail -n 5 "$log" >&2
    echo "Not installed, apt-get failed: $*" >&2
    exit 1
  fi
fi

# Nor may such a service start with the machine.
if command -v systemctl >/dev/null; then
  for unit in $(dpkg -L "$@" | sed -n 's|.*/systemd/system/\([^/@]*\.service\)$|\1|p'); do
    systemctl disable "$unit" >/dev/null 2>&1 || :
  done
fi
