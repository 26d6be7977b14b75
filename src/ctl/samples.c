/* samples.c - in: text of the Prometheus format 0.0.4 as metrics/exposition.c writes it; out: figures. */
#include "ctl/samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static void
add_label_value(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\\' || *text == '"')
			buf_add_char(out, '\\');
		if (*text == '\n')
			buf_add_str(out, "\\n");
		else
			buf_add_char(out, *text);
	}
}

/* What lies behind the prefix on the first line from text on that begins with it; NULL = there is none. */
static const char *
find_line(const char *text, const struct buf *prefix)
{
	while (text != NULL && *text != '\0') {
		if (strncmp(text, buf_str(prefix), prefix->len) == 0)
			return text + prefix->len;
		text = strchr(text, '\n');
		text += text != NULL;
	}
	return NULL;
}

bool
samples_get(const char *text, const char *name, const char *outbox, const char *more, double *ret_value)
{
	struct buf prefix __attribute__((cleanup(buf_done))) = BUF_INIT;
	const char *found;

	buf_printf(&prefix, "%s{outbox=\"", name);
	add_label_value(&prefix, outbox);
	buf_printf(&prefix, "\"%s%s} ", more != NULL ? "," : "", more != NULL ? more : "");
	found = buf_failed(&prefix) ? NULL : find_line(text, &prefix);
	if (found == NULL)
		return false;
	*ret_value = strtod(found, NULL);
	return true;
}

struct samples_histogram
samples_histogram(const char *text, const char *name, const char *outbox)
{
	struct buf prefix __attribute__((cleanup(buf_done))) = BUF_INIT;
	struct samples_histogram h = {0};

	buf_printf(&prefix, "%s_bucket{outbox=\"", name);
	add_label_value(&prefix, outbox);
	buf_add_str(&prefix, "\",le=\"");
	if (buf_failed(&prefix))
		return h;
	while (h.count < SAMPLES_BUCKETS_MAX && (text = find_line(text, &prefix)) != NULL) {
		char *end;

		h.bounds[h.count] = strtod(text, &end);
		if (strncmp(end, "\"} ", 3) != 0)
			break;
		h.counts[h.count++] = strtod(end + 3, NULL);
	}
	return h;
}

static double
observations(const struct samples_histogram *earlier, const struct samples_histogram *later, size_t bucket)
{
	return later->counts[bucket] - (earlier->count == later->count ? earlier->counts[bucket] : 0);
}

double
samples_quantile(const struct samples_histogram *earlier, const struct samples_histogram *later, double q)
{
	double all, before = 0, from = 0;

	if (later->count == 0)
		return -1;
	all = observations(earlier, later, later->count - 1);
	if (!(all > 0))
		return -1;
	for (size_t i = 0; i < later->count; i++) {
		double n = observations(earlier, later, i);

		if (n >= q * all && n > before && isfinite(later->bounds[i]))
			return from + (later->bounds[i] - from) * (q * all - before) / (n - before);
		if (!isfinite(later->bounds[i]))
			return from;
		before = n;
		from = later->bounds[i];
	}
	return from;
}
