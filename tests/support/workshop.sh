# workshop.sh - sourced by test.sh and demo.sh: a place to build in, and calm words about each step.
#
# The sources are copied and built there, so that neither a build inside the tree nor files that another user left
# can be in the way.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${MAKEFLAGS:=-j$(nproc 2>/dev/null || echo 2)}"
export MAKEFLAGS

if [ -t 1 ] && [ -z "${NO_COLOR-}" ] && [ "${TERM-dumb}" != dumb ]; then
	bold=$'\e[1m' red=$'\e[31m' green=$'\e[32m' dim=$'\e[2m' plain=$'\e[0m'
else
	bold='' red='' green='' dim='' plain=''
fi

headline() {
	printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

complain() {
	printf '%s%s%s\n' "$red" "$*" "$plain" >&2
}

# ./build where it is ours; else a directory of this user's own.
choose_workshop() {
	workshop=$top/build
	if ! { mkdir -p "$workshop" 2>/dev/null && [ -O "$workshop" ] && [ -w "$workshop" ]; }; then
		workshop=${XDG_CACHE_HOME:-$HOME/.cache}/pgoutboxd/build-$(printf %s "$top" | cksum | cut -d' ' -f1)
		mkdir -p "$workshop" || exit 73
	fi
	logs=$workshop/log
	mkdir -p "$logs" || exit 73
}

# What git knows or would add; without git, everything but what a build leaves in the tree.
list_sources() {
	if git -c safe.directory='*' -C "$top" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git -c safe.directory='*' -C "$top" ls-files -z -co --exclude-standard |
			while IFS= read -rd '' file; do
				[ ! -e "$top/$file" ] || printf '%s\0' "$file"
			done
	else
		(cd "$top" && find . \( -name .git -o -name autom4te.cache -o -name build-aux -o -name .deps -o -path ./build \) -prune -o \
			-type f ! -name '*.o' ! -name '*.a' ! -name '*.trs' ! -name '*.log' ! -name .dirstamp ! -path './config.*' \
			! -path ./configure ! -path ./configure~ ! -path ./Makefile ! -path ./Makefile.in ! -path ./aclocal.m4 ! -path ./stamp-h1 \
			! -path ./pgoutboxd ! -path ./pgoutboxctl -print0)
	fi
}

# tree/ is the copy. A file keeps its time there as long as its content stays, so that a second build is short, and one that
# was edited during the last build is built. configure and its like stay as long as what they are made from.
copy_sources() {
	local tree=$workshop/tree new=$workshop/tree.new file
	rm -rf "$new" && mkdir -p "$new" || return
	list_sources | tar -C "$top" --null -T - -cf - | tar -C "$new" -xmpf - --no-same-owner || return
	(cd "$new" && find . -type f -print0) | while IFS= read -rd '' file; do
		! cmp -s "$tree/$file" "$new/$file" || touch -r "$tree/$file" "$new/$file"
	done
	if [ -x "$tree/configure" ] && cmp -s <(recipe "$tree") <(recipe "$new"); then
		(cd "$tree" && cp -a configure config.h.in aclocal.m4 build-aux Makefile.in autom4te.cache "$new") || return
	fi
	rm -rf "$tree" && mv "$new" "$tree"
}

recipe() {
	(cd "$1" && cat configure.ac Makefile.am m4/*.m4 && find . -name local.mk -exec cat {} +)
}

# build NAME CONFIGURE-ARGUMENT...: in $workshop/NAME, with "make all".
build() {
	local dir=$workshop/$1
	shift
	[ -x "$workshop/tree/configure" ] || (cd "$workshop/tree" && autoreconf -i) || return
	mkdir -p "$dir" && cd "$dir" || return
	if [ ! -e config.status ] || [ "$workshop/tree/configure" -nt config.status ] || [ "$(cat arguments 2>/dev/null)" != "$*" ]; then
		"$workshop/tree/configure" "$@" || return
		echo "$*" >arguments
	fi
	make all
}
