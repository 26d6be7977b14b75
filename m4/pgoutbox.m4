# The macros of configure.ac. They rest on pkg-config the program, not on its m4 files, so that autoreconf needs none
# and configure can still say what to install when pkg-config itself is missing.

# PGOUTBOX_MISSING(NAME, DEBIAN-PACKAGE)
AC_DEFUN([PGOUTBOX_MISSING],
[AS_VAR_APPEND([pgoutbox_missing], ["
  $1 is missing: apt-get install $2"])
AS_VAR_APPEND([pgoutbox_packages], [" $2"])])

# PGOUTBOX_LIBRARY(VARIABLE-PREFIX, PKG-CONFIG-NAME, MINIMUM-VERSION, DEBIAN-PACKAGE)
# Sets PREFIX_CFLAGS and PREFIX_LIBS, which the user may also give.
AC_DEFUN([PGOUTBOX_LIBRARY],
[AC_ARG_VAR([$1_CFLAGS], [C compiler flags for $2, overriding pkg-config])
AC_ARG_VAR([$1_LIBS], [linker flags for $2, overriding pkg-config])
AC_MSG_CHECKING([for $2 >= $3])
AS_IF([test -n "$[]$1_LIBS"], [AC_MSG_RESULT([given: $[]$1_LIBS])],
	[test -z "$PKG_CONFIG"],
	[AC_MSG_RESULT([unknown without pkg-config])
	AS_VAR_APPEND([pgoutbox_packages], [" $4"])],
	["$PKG_CONFIG" --exists "$2 >= $3"],
	[$1_CFLAGS=`"$PKG_CONFIG" --cflags $2`
	$1_LIBS=`"$PKG_CONFIG" --libs $2`
	AC_MSG_RESULT([`"$PKG_CONFIG" --modversion $2`])],
	["$PKG_CONFIG" --exists "$2"],
	[AC_MSG_RESULT([`"$PKG_CONFIG" --modversion $2` is too old])
	PGOUTBOX_MISSING([$2 >= $3], [$4])],
	[AC_MSG_RESULT([no])
	PGOUTBOX_MISSING([$2], [$4])])])

# PGOUTBOX_STOP_IF_MISSING
AC_DEFUN([PGOUTBOX_STOP_IF_MISSING],
[AS_IF([test -n "$pgoutbox_missing"],
	[AC_MSG_ERROR([the build needs what is not there:
$pgoutbox_missing

All at once:
  apt-get install$pgoutbox_packages])])])

# PGOUTBOX_C17
AC_DEFUN([PGOUTBOX_C17],
[PGOUTBOX_CFLAG([PGOUTBOX_CFLAGS], [-std=c17])
pgoutbox_save_CFLAGS=$CFLAGS
CFLAGS="$CFLAGS $PGOUTBOX_CFLAGS"
AC_MSG_CHECKING([whether $CC compiles C17])
AC_COMPILE_IFELSE([AC_LANG_SOURCE([[
#if !defined(__STDC_VERSION__) || __STDC_VERSION__ < 201710L
#error "older than C17"
#endif
]])], [AC_MSG_RESULT([yes])], [AC_MSG_RESULT([no])
	AC_MSG_ERROR([$CC does not compile C17; gcc 8 and clang 6 are the first that do])])
CFLAGS=$pgoutbox_save_CFLAGS])

# PGOUTBOX_CFLAG(VARIABLE, FLAG)
# Appends the flag to the variable when the compiler takes it without a word.
AC_DEFUN([PGOUTBOX_CFLAG],
[AC_REQUIRE([AC_PROG_CC])
AS_VAR_PUSHDEF([pgoutbox_cache], [pgoutbox_cv_cflag_$2])
AC_CACHE_CHECK([whether $CC takes $2], [pgoutbox_cache],
	[pgoutbox_save_CFLAGS=$CFLAGS
	CFLAGS="$CFLAGS -Werror $2"
	AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
		[AS_VAR_SET([pgoutbox_cache], [yes])], [AS_VAR_SET([pgoutbox_cache], [no])])
	CFLAGS=$pgoutbox_save_CFLAGS])
AS_VAR_IF([pgoutbox_cache], [yes], [AS_VAR_APPEND([$1], [" $2"])])
AS_VAR_POPDEF([pgoutbox_cache])
AC_SUBST([$1])])

# PGOUTBOX_LDFLAG(VARIABLE, FLAG, [CFLAGS-IT-NEEDS])
AC_DEFUN([PGOUTBOX_LDFLAG],
[AC_REQUIRE([AC_PROG_CC])
AS_VAR_PUSHDEF([pgoutbox_cache], [pgoutbox_cv_ldflag_$2])
AC_CACHE_CHECK([whether $CC links with $2], [pgoutbox_cache],
	[pgoutbox_save_CFLAGS=$CFLAGS
	pgoutbox_save_LDFLAGS=$LDFLAGS
	CFLAGS="$CFLAGS -Werror $3"
	LDFLAGS="$LDFLAGS $2"
	AC_LINK_IFELSE([AC_LANG_PROGRAM()], [AS_VAR_SET([pgoutbox_cache], [yes])], [AS_VAR_SET([pgoutbox_cache], [no])])
	CFLAGS=$pgoutbox_save_CFLAGS
	LDFLAGS=$pgoutbox_save_LDFLAGS])
AS_VAR_IF([pgoutbox_cache], [yes], [AS_VAR_APPEND([$1], [" $2"])])
AS_VAR_POPDEF([pgoutbox_cache])
AC_SUBST([$1])])

# PGOUTBOX_WARNINGS
AC_DEFUN([PGOUTBOX_WARNINGS],
[m4_foreach_w([pgoutbox_flag], [-Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
	-Wold-style-definition -Wformat=2 -Wvla -Wundef -Wpointer-arith -Wwrite-strings
	-Wduplicated-cond -Wlogical-op],
	[PGOUTBOX_CFLAG([PGOUTBOX_CFLAGS], pgoutbox_flag)
])
AS_IF([test "x$enable_werror" = xyes], [AS_VAR_APPEND([PGOUTBOX_CFLAGS], [" -Werror"])])])

# PGOUTBOX_BUILD_KIND
# Hardened by default; sanitizers and coverage instead of, not beside, what would get in their way.
AC_DEFUN([PGOUTBOX_BUILD_KIND],
[PGOUTBOX_CFLAG([PGOUTBOX_CFLAGS], [-pthread])
AS_IF([test "x$enable_sanitizers" = xyes],
	[PGOUTBOX_NEED_LDFLAG([-fsanitize=address,undefined])
	PGOUTBOX_CFLAG([PGOUTBOX_CFLAGS], [-fno-sanitize-recover=all])
	PGOUTBOX_CFLAG([PGOUTBOX_CFLAGS], [-fno-omit-frame-pointer])])
AS_IF([test "x$enable_coverage" = xyes], [PGOUTBOX_NEED_LDFLAG([--coverage])])
AS_IF([test "x$enable_hardening" != xno],
	[m4_foreach_w([pgoutbox_flag], [-fstack-protector-strong -fstack-clash-protection -fcf-protection],
		[PGOUTBOX_CFLAG([PGOUTBOX_CFLAGS], pgoutbox_flag)
	])
	PGOUTBOX_LDFLAG([PGOUTBOX_LDFLAGS], [-Wl,-z,relro])
	PGOUTBOX_LDFLAG([PGOUTBOX_LDFLAGS], [-Wl,-z,now])
	PGOUTBOX_LDFLAG([PGOUTBOX_LDFLAGS], [-pie], [-fPIE])
	AS_CASE([$PGOUTBOX_LDFLAGS], [*-pie*], [PGOUTBOX_CFLAG([PGOUTBOX_CFLAGS], [-fPIE])])
	AS_IF([test "x$enable_sanitizers" != xyes], [PGOUTBOX_FORTIFY])])
AC_SUBST([PGOUTBOX_CPPFLAGS])])

# PGOUTBOX_NEED_LDFLAG(FLAG)
# For compiling and linking alike; without it the user's wish cannot be met.
AC_DEFUN([PGOUTBOX_NEED_LDFLAG],
[pgoutbox_before=$PGOUTBOX_LDFLAGS
PGOUTBOX_LDFLAG([PGOUTBOX_LDFLAGS], [$1], [$1])
AS_IF([test "x$pgoutbox_before" = "x$PGOUTBOX_LDFLAGS"], [AC_MSG_ERROR([$CC cannot link with $1])])
AS_VAR_APPEND([PGOUTBOX_CFLAGS], [" $1"])])

# PGOUTBOX_FORTIFY
# glibc warns about it in a build without optimisation, and distributions may have set it already.
AC_DEFUN([PGOUTBOX_FORTIFY],
[AC_MSG_CHECKING([for _FORTIFY_SOURCE])
AC_COMPILE_IFELSE([AC_LANG_SOURCE([[
#ifndef __OPTIMIZE__
#error "it needs optimisation"
#endif
]])], [AC_MSG_RESULT([2])
	AS_VAR_APPEND([PGOUTBOX_CPPFLAGS], [" -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"])],
	[AC_MSG_RESULT([no, it needs optimisation])])])
