# Sourced: a private Wine prefix in the checkout, quiet, and without the parts of Wine that would open windows.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export WINEPREFIX=$root/.wine/prefix WINEDEBUG=${WINEDEBUG:--all} WINESERVER=/usr/lib/wine/wineserver64
export WINEDLLOVERRIDES="mscoree,mshtml,winemenubuilder.exe="
wine=/usr/lib/wine/wine64
drive=$WINEPREFIX/drive_c
site=$drive/python/Lib/site-packages
