#!/usr/bin/env bash
# What a napari window needs on Debian and Ubuntu, with a display of its own
# (Xvfb) for the tests, and what their browser needs. As root it installs what is missing, else it says so.
set -euo pipefail

packages=(
  xvfb xauth libgl1 libegl1 libglx-mesa0 libgl1-mesa-dri
  libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1
  libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libxcb-xfixes0
  libdbus-1-3 libglib2.0-0 libfontconfig1
  # The browser of the tests:
  libasound2 libdrm2 libgbm1 libnspr4 libnss3 libxcomposite1 libxdamage1 libxkbfile1
  libxrandr2 libxtst6
)

if ! command -v dpkg-query >/dev/null; then
  echo "This is no Debian or Ubuntu: the tests open windows on the display that is there."
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  # Newer releases renamed some (libglib2.0-0t64): what provides it counts too.
  if ! dpkg-query --show --showformat='${db:Status-Abbrev} ${Package} ${Provides}\n' 2>/dev/null |
    grep -E "^ii .*\b${package//./\\.}( |,|$|t64)" >/dev/null; then
    missing+=("$package")
  fi
done
[ "${#missing[@]}" -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "Missing system libraries for napari's window. Install them, then run make again:" >&2
  echo "  sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
