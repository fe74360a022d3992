/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Every difference between the kernels that this module is built for. The
 * code is written to 6.12; what a later kernel changed is put right here.
 */
#ifndef CASEMENT_KMOD_COMPAT_H
#define CASEMENT_KMOD_COMPAT_H

#include <linux/dax.h>
#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/fileattr.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/posix_acl_xattr.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/version.h>

/* cpuid() */
#ifdef CONFIG_X86
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
#include <asm/cpuid/api.h>
#else
#include <asm/processor.h>
#endif
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#error "casement.ko needs Linux 6.12 or newer"
#endif

/* d_revalidate() is told the directory and the name, too. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
#define CS_REVALIDATE_MORE struct inode *told_dir, const struct qstr *told_name,
#else
#define CS_REVALIDATE_MORE
#endif

/* mkdir() may give another dentry than it was given. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
typedef struct dentry *cs_mkdir_result;
#define CS_MKDIR_RESULT(err) ERR_PTR(err)
#else
typedef int cs_mkdir_result;
#define CS_MKDIR_RESULT(err) (err)
#endif

/* The label that a security module gives a new file: 0, -EOPNOTSUPP without one, or -errno. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
typedef struct lsm_context cs_label;

static inline int cs_label_of_new(struct dentry *dentry, umode_t mode, const char **name, cs_label *label)
{
	return security_dentry_init_security(dentry, mode, &dentry->d_name, name, label);
}

static inline void cs_label_free(cs_label *label)
{
	security_release_secctx(label);
}
#else
typedef struct {
	void *context;
	u32 len;
} cs_label;

static inline int cs_label_of_new(struct dentry *dentry, umode_t mode, const char **name, cs_label *label)
{
	return security_dentry_init_security(dentry, mode, &dentry->d_name, name, &label->context, &label->len);
}

static inline void cs_label_free(cs_label *label)
{
	security_release_secctx(label->context, label->len);
}
#endif

/* A new mount of d_automount() had a hold for who adds it to the tree, and one for who goes on into it. */
static inline void cs_automount_hold(struct vfsmount *mount)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 16, 0)
	mntget(mount);
#endif
}

/*
 * Pages of a window: how many hold one that no device transfers to or from, what its waiters wait
 * for, and what a file system says, with the page tables empty, before it cuts pages off a file.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
#define CS_DAX_IDLE 0
#define cs_dax_waited(page) (page)
#else
#define CS_DAX_IDLE 1
#define cs_dax_waited(page) (&(page)->_refcount)
#endif

static inline void cs_dax_forget(struct inode *inode, loff_t start, loff_t end)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
	/* Another mapping's entries are not what that takes them for. */
	if (dax_mapping(inode->i_mapping))
		dax_delete_mapping_range(inode->i_mapping, start, end);
#endif
}

/* What write_begin() and write_end() are told of their caller; page frames of a window; file flags. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
typedef const struct kiocb cs_writer;
typedef unsigned long cs_pfn;
#define fileattr file_kattr

static inline struct file *cs_writer_file(cs_writer *writer)
{
	return writer->ki_filp;
}

static inline cs_pfn cs_window_pfn(phys_addr_t at)
{
	return PHYS_PFN(at);
}

static inline void cs_set_dentry_operations(struct super_block *sb, const struct dentry_operations *operations)
{
	set_default_d_op(sb, operations);
}
#else
#include <linux/pfn_t.h>

typedef struct file cs_writer;
typedef pfn_t cs_pfn;

static inline struct file *cs_writer_file(cs_writer *writer)
{
	return writer;
}

static inline cs_pfn cs_window_pfn(phys_addr_t at)
{
	return phys_to_pfn_t(at, PFN_DEV | PFN_MAP);
}

static inline void cs_set_dentry_operations(struct super_block *sb, const struct dentry_operations *operations)
{
	sb->s_d_op = operations;
}
#endif

/* The state has functions. */
static inline bool cs_inode_is_new(struct inode *inode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
	return inode_state_read_once(inode) & I_NEW;
#else
	return inode->i_state & I_NEW;
#endif
}

/* An ACL as an attribute's value, to be freed; NULL without memory. */
static inline void *cs_acl_to_xattr(struct user_namespace *ns, const struct posix_acl *acl, size_t *size)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
	return posix_acl_to_xattr(ns, acl, size, GFP_KERNEL);
#else
	void *value;

	*size = posix_acl_xattr_size(acl->a_count);
	value = kmalloc(*size, GFP_KERNEL);
	/* It fails for a buffer that is too small alone. */
	if (value)
		posix_acl_to_xattr(ns, acl, value, *size);
	return value;
#endif
}

/* create() is always exclusive, and who waits for a name that is looked up needs no queue for that. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
#define CS_CREATE_MORE
#define CS_LOOKUP_QUEUE(queue)
#define cs_alloc_parallel(parent, name, queue) d_alloc_parallel(parent, name)
#else
#define CS_CREATE_MORE , bool exclusive
#define CS_LOOKUP_QUEUE(queue) DECLARE_WAIT_QUEUE_HEAD_ONSTACK(queue)
#define cs_alloc_parallel(parent, name, queue) d_alloc_parallel(parent, name, queue)
#endif

#endif
