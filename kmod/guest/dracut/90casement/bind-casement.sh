#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
case "$root" in casement:*) casement-guest bind "${root#casement:}" ;; esac
