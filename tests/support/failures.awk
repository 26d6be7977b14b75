# failures.awk - what the log of a TAP program says about each test that failed, indented, in few lines.
#
#	awk -f tests/support/failures.awk PROGRAM.log
#
# A test's diagnostics are those from the line "# NAME" with which it begins to its result, and those behind the result: there
# are the conditions that did not hold. Of many, the last before and the first behind it are shown, and the last words of
# the daemons. Where the program did not come to its end, what a sanitizer or the C library said is shown, and the end of the log.
BEGIN {
	tests_max = 8
	lines_max = 12
	behind_max = 6
	daemon_max = 4
	width_max = 400
	last = shown = 0
}

# The driver's own words, of which only the errors tell something new.
/^(PASS|FAIL|XPASS|XFAIL|SKIP): / || /^1\.\.[0-9]/ { next }
/^ERROR: / {
	errors[++error_count] = $0
	next
}

/^Bail out!/ { errors[++error_count] = $0 }
(/: runtime error: / || /ERROR: [A-Za-z]*Sanitizer/ || /Assertion .* failed/ || /^\*\*\* .* \*\*\*/ ||
	/^(free|malloc|realloc|double free|munmap_chunk|corrupted)[^:]*: /) && !trouble { trouble = NR }
{ line[NR] = $0 }

/^(not )?ok [0-9]/ {
	name = $0
	sub(/^(not )?ok [0-9]+ */, "", name)
	begin = begin_of(name)
	behind_end[last] = begin - 1
	before_begin[NR] = begin + 1
	last = NR
	if ($1 == "not")
		failed[++failed_count] = NR
}

# Scripts have no such line: then all since the last result belongs to that one.
function begin_of(name, n, start)
{
	for (n = NR - 1; n > last; n--) {
		if (!(n in line) || line[n] !~ /^# ./)
			continue
		start = substr(line[n], 3)
		if (start == substr(name, length(name) - length(start) + 1))
			return n
	}
	return NR
}

function say(text)
{
	if (length(text) > width_max)
		text = substr(text, 1, width_max) "..."
	sub(/^# /, "", text)
	print "        " text
}

# The lines are there, or the driver left them out.
function say_range(from, to, n)
{
	for (n = from; n <= to; n++) {
		if (!(n in line))
			continue
		say(line[n])
		if (n > shown)
			shown = n
	}
}

function count_range(from, to, n, count)
{
	for (n = from; n <= to; n++)
		count += n in line
	return count + 0
}

# The first, or from the end: where so many lines are reached.
function reach(from, to, step, most, n)
{
	for (n = from; n != to; n += step) {
		if ((n in line) && --most == 0)
			break
	}
	return n
}

function explain(result, from, to, daemons, behind, room)
{
	from = before_begin[result]
	to = behind_end[result]
	for (daemons = from; daemons < result; daemons++) {
		if ((daemons in line) && line[daemons] ~ /^# daemon [0-9]+ said last:/)
			break
	}
	behind = count_range(result + 1, to)
	room = lines_max - (behind < behind_max ? behind : behind_max)
	print "      " line[result]
	if (count_range(from, daemons - 1) > room) {
		from = reach(daemons - 1, from, -1, room)
		say("...")
	}
	room = lines_max - count_range(from, daemons - 1)
	say_range(from, daemons - 1)
	if (behind > room) {
		say_range(result + 1, reach(result + 1, to, 1, room))
		say("...")
	} else {
		say_range(result + 1, to)
	}
	if (daemons < result) {
		say(line[daemons])
		say_range(count_range(daemons + 1, result - 1) > daemon_max ? reach(result - 1, daemons, -1, daemon_max) : daemons + 1, result - 1)
	}
}

END {
	behind_end[last] = NR
	for (n = 1; n <= failed_count && n <= tests_max; n++)
		explain(failed[n])
	if (failed_count > tests_max)
		print "      and " failed_count - tests_max " more"
	for (n = 1; n <= error_count; n++) {
		if (failed_count > 0 && errors[n] ~ /exited with status 1$/)
			continue
		print "      " errors[n]
		broken = 1
	}
	if (trouble)
		say_range(trouble, reach(trouble, NR, 1, lines_max))
	begin = shown > last ? shown + 1 : last + 1
	if (broken && begin <= NR)
		say_range(reach(NR, begin, -1, trouble ? daemon_max : lines_max), NR)
}
