#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
# root=TAG rootfstype=casement, or root=casement:TAG
case "$root" in
casement:*) root=${root#casement:} fstype=casement ;;
*) [ "$(getarg rootfstype=)" = casement ] || return 0 ;;
esac
# shellcheck disable=SC2034  # dracut's own
rootok=1
mount_root_tag=$root
root="casement:$root"
echo "mount -t casement -o $(getarg rw >/dev/null && echo rw || echo ro) $mount_root_tag $NEWROOT" \
	> "$hookdir/mount/50-casement.sh"
