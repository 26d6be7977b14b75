/* The schedule of chaos: a seed gives the same one always, and rows of faults.def are what it is made of. */
#include "chaos/plan.c"

#include <stdio.h>

#include "support/tap.h"

enum { MINUTES = 20 };

static struct plan_options
everything(uint64_t seed)
{
	struct plan_options opt = {.seed = seed, .length_ms = MINUTES * 60000, .relays = 2, .nodes = 3, .pause_ms = 5000};

	for (int g = 0; g < GROUPS; g++)
		opt.groups[g] = true;
	return opt;
}

static char *
as_text(const struct plan_options *opt)
{
	struct plan p = plan_make(opt);
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	for (size_t i = 0; i < p.count; i++) {
		for (size_t k = 0; k < p.lines[i].count; k++) {
			const struct strike *s = &p.lines[i].strikes[k];

			fprintf(out, "%d.%d %s %lld+%lld %llx\n", (int)p.lines[i].group, p.lines[i].target, plan_fault_name(s->fault),
			        (long long)s->pause_ms, (long long)s->lasts_ms, (unsigned long long)s->draw);
		}
	}
	fclose(out);
	plan_free(&p);
	return text;
}

static void
same_seed_same_plan(void)
{
	struct plan_options opt = everything(7), other = everything(8);
	char *first = as_text(&opt), *second = as_text(&opt), *third = as_text(&other);

	TAP_STR(second, first);
	CU_ASSERT(strcmp(first, third) != 0);
	free(first);
	free(second);
	free(third);
}

static void
every_row_gets_its_turn(void)
{
	struct plan_options opt = everything(1);
	struct plan p = plan_make(&opt);
	int seen[FAULTS] = {0};

	TAP_INT(p.count, 10);
	for (size_t i = 0; i < p.count; i++) {
		int64_t at_ms = 0, end_ms = 0;

		for (size_t k = 0; k < p.lines[i].count; k++) {
			const struct strike *s = &p.lines[i].strikes[k];

			seen[s->fault]++;
			CU_ASSERT(rows[s->fault].group == p.lines[i].group);
			CU_ASSERT(s->lasts_ms >= rows[s->fault].min_ms && s->lasts_ms <= rows[s->fault].max_ms);
			CU_ASSERT(s->pause_ms >= 0);
			at_ms = end_ms + s->pause_ms;
			end_ms = at_ms + s->lasts_ms;
		}
		CU_ASSERT(at_ms < opt.length_ms);
		CU_ASSERT(p.lines[i].count > MINUTES * 60 / 20);
	}
	for (int f = 0; f < FAULTS; f++) {
		if (seen[f] == 0)
			tap_diag("never: %s", plan_fault_text((enum fault)f));
		CU_ASSERT(seen[f] > 0);
	}
	plan_free(&p);
}

static int
count_of(const struct plan *p, enum fault f)
{
	int count = 0;

	for (size_t i = 0; i < p->count; i++) {
		for (size_t k = 0; k < p->lines[i].count; k++)
			count += p->lines[i].strikes[k].fault == f;
	}
	return count;
}

static void
one_broker_has_no_others(void)
{
	struct plan_options opt = everything(1);
	struct plan p;

	opt.nodes = 1;
	p = plan_make(&opt);
	TAP_INT(count_of(&p, FAULT_BROKER_SHORT), 0);
	TAP_INT(count_of(&p, FAULT_BROKER_KILL_ALL), 0);
	CU_ASSERT(count_of(&p, FAULT_BROKER_KILL) > 0);
	plan_free(&p);
}

static void
only_what_is_wanted(void)
{
	struct plan_options opt = everything(1);
	struct plan p;

	for (int g = 0; g < GROUPS; g++)
		opt.groups[g] = g == plan_group_find("pgnet");
	p = plan_make(&opt);
	TAP_INT(p.count, 2);
	CU_ASSERT(p.lines[0].group == GROUP_PGNET && p.lines[1].group == GROUP_PGNET);
	TAP_INT(p.lines[1].target, 1);
	TAP_INT(plan_group_find("nothing"), -1);
	plan_free(&p);
}

static void
so_many_kills(void)
{
	struct plan_options opt = everything(1);
	struct plan p;

	for (int g = 0; g < GROUPS; g++)
		opt.groups[g] = g == GROUP_RELAY;
	opt.kills = 101;
	p = plan_make(&opt);
	TAP_INT(count_of(&p, FAULT_RELAY_KILL), 101);
	TAP_INT(p.lines[0].count + p.lines[1].count, 101);
	TAP_INT(p.lines[0].count, 51);
	for (size_t k = 0, sum_ms = 0; k < p.lines[0].count; k++) {
		sum_ms += (size_t)(p.lines[0].strikes[k].pause_ms + p.lines[0].strikes[k].lasts_ms);
		CU_ASSERT(p.length_ms > (int64_t)sum_ms);
	}
	CU_ASSERT(p.whole);
	plan_free(&p);
}

int
main(void)
{
	tap_suite("plan");
	tap_test("the same seed gives the same plan", same_seed_same_plan);
	tap_test("every row gets its turn", every_row_gets_its_turn);
	tap_test("one broker has no others", one_broker_has_no_others);
	tap_test("only what is wanted", only_what_is_wanted);
	tap_test("so many kills", so_many_kills);
	return tap_run();
}
