/* Stands where bcc expects the configuration of a kernel source tree, so that none is needed.
 *
 * bcc includes this file before everything else. Our programs use the kernel's stable interface (UAPI) only, which
 * the package linux-libc-dev brings without the rest of a kernel; what bcc's own headers take from the rest is below.
 */
#ifndef DP_KCONFIG_H
#define DP_KCONFIG_H

/* bcc brings its own <linux/bpf.h>; its guard differs from that of the installed one. */
#define __LINUX_BPF_H__
#define CONFIG_BPF_SYSCALL 1
#define bool _Bool

#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;
typedef __SIZE_TYPE__ size_t;
typedef __UINTPTR_TYPE__ uintptr_t;

#endif
