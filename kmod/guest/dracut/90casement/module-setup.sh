#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
# dracut: casement.ko, and its devices before the root file system is mounted.

check()
{
	require_binaries casement-guest || return 1
	# When asked for by name, or where the root is on it.
	[[ ${hostonly:-} ]] || return 255
	[[ " ${host_fs_types[*]} " == *" casement "* ]] && return 0
	return 255
}

installkernel()
{
	hostonly='' instmods casement
}

install()
{
	inst_multiple casement-guest readlink
	inst_hook cmdline 95 "$moddir/parse-casement.sh"
	inst_hook pre-mount 50 "$moddir/bind-casement.sh"
}
