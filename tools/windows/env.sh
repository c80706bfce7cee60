# Sourced: one Wine prefix of our own, quiet, and without the parts of Wine that would open windows. It lies outside the
# checkout because it holds a link to the root of the file system, which cargo follows when it lists a package's files.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Wine spells file names in the character set of the locale.
export LC_ALL=C.UTF-8
export WINEPREFIX=${XDG_CACHE_HOME:-$HOME/.cache}/winlayers/wine
export WINEDEBUG=${WINEDEBUG:--all} WINESERVER=/usr/lib/wine/wineserver64
export WINEDLLOVERRIDES="mscoree,mshtml,winemenubuilder.exe="
wine=/usr/lib/wine/wine64
drive=$WINEPREFIX/drive_c
site=$root/target/windows-site
