#!/bin/sh
# embed.sh FILE.sql ... - writes C to standard output that holds the texts of sql/, each as admin/texts.h declares it:
# sql/claim-index.sql becomes text_claim_index.
set -eu

tab=$(printf '\t')
echo '/* Made by src/admin/embed.sh from sql/. */'
echo '#include "admin/texts.h"'
for file; do
	echo
	echo "const char text_$(basename "$file" .sql | tr - _)[] ="
	# a question mark might be half a trigraph
	sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/?/\\?/g' -e "s/^/$tab\"/" -e 's/$/\\n"/' "$file"
	echo "$tab;"
done
