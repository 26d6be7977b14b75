/* Tests of src/config/document.c: places, kinds, and everything of YAML that is refused. */
#include <stdlib.h>
#include <string.h>

#include "config/document.h"
#include "support/tap.h"

static struct document doc;
static struct config_problems problems;

static void
parse(const char *text)
{
	document_parse("f", slice_from(text), &doc, &problems);
}

static void
begin(void)
{
	problems = CONFIG_PROBLEMS_INIT;
}

static void
forget(void)
{
	document_done(&doc);
	config_problems_done(&problems);
}

static void
says(const char *expected)
{
	struct buf out __attribute__((cleanup(buf_done))) = BUF_INIT;

	config_problems_print(&problems, &out);
	TAP_STR(buf_str(&out), expected);
}

static void
stands_at(const struct node *n, unsigned line, unsigned column)
{
	TAP_INT(n->line, line);
	TAP_INT(n->column, column);
}

static void
test_tree(void)
{
	const struct node *a, *b, *c;

	parse("# comment\na: one\nb:\n  - 'two'\n  - {x: 3}\nc:\n");
	says("");
	CU_ASSERT(doc.complete);
	CU_ASSERT_FATAL(doc.root != NULL && doc.root->kind == NODE_MAP);
	a = doc.root->first;
	TAP_STR(a->key->text, "a");
	stands_at(a->key, 2, 1);
	TAP_STR(a->text, "one");
	stands_at(a, 2, 4);
	CU_ASSERT(a->plain);
	b = a->next;
	TAP_INT(b->kind, NODE_LIST);
	TAP_STR(b->first->text, "two");
	CU_ASSERT(!b->first->plain);
	CU_ASSERT_PTR_NULL(b->first->key);
	stands_at(b->first, 4, 5);
	TAP_INT(b->first->next->kind, NODE_MAP);
	TAP_STR(b->first->next->first->key->text, "x");
	TAP_STR(b->first->next->first->text, "3");
	CU_ASSERT_PTR_NULL(b->first->next->next);
	c = b->next;
	CU_ASSERT(node_is_null(c));
	CU_ASSERT_PTR_NULL(c->next);
	forget();
}

static void
null_is(const char *text, bool expected)
{
	parse(text);
	CU_ASSERT_FATAL(doc.root != NULL);
	if (node_is_null(doc.root->first) != expected)
		TAP_STR(text, expected ? "null" : "not null");
	forget();
}

static void
test_null(void)
{
	null_is("a:", true);
	null_is("a: ~", true);
	null_is("a: null", true);
	null_is("a: NULL", true);
	null_is("a: ''", false);
	null_is("a: \"null\"", false);
	null_is("a: nul", false);
	null_is("a: []", false);
}

static void
test_nothing(void)
{
	parse("");
	says("");
	CU_ASSERT(doc.complete && doc.root == NULL);
	forget();
	document_parse("f", SLICE_NULL, &doc, &problems);
	says("");
	CU_ASSERT(doc.complete && doc.root == NULL);
	forget();
	parse("# only a comment\n");
	says("");
	CU_ASSERT(doc.complete && doc.root == NULL);
	forget();
	parse("\xEF\xBB\xBF" "a: b\n");
	says("");
	TAP_STR(doc.root->first->text, "b");
	stands_at(doc.root->first, 1, 4);
	forget();
}

static void
test_columns_are_characters(void)
{
	parse("\xC3\xA9\xE2\x82\xAC: [x, *y]\n");
	says("f:1:9: an alias (*) has no use here; write the value itself, in quotes if it begins with *\n");
	stands_at(doc.root->first->first, 1, 6);
	forget();
	parse("a: b\n\xC3\xA9\xE2\x82\xAC: \xFF\n");
	says("f:2:5: not UTF-8; save the file as UTF-8\n");
	CU_ASSERT(!doc.complete && doc.root == NULL);
	forget();
}

static void
refuses(const char *text, const char *message, bool complete)
{
	parse(text);
	says(message);
	TAP_INT(doc.complete, complete);
	forget();
}

static void
test_refused(void)
{
	refuses("a: &x b", "f:1:4: an anchor (&) has no use here; write the value where it is needed\n", true);
	refuses("a: !!str b", "f:1:4: a tag (!) has no use here; write the value alone\n", true);
	refuses("a: !x {}", "f:1:4: a tag (!) has no use here; write the value alone\n", true);
	refuses("a: &x []", "f:1:4: an anchor (&) has no use here; write the value where it is needed\n", true);
	refuses("a: \"x\\0y\"", "f:1:4: a value cannot contain the character NUL (\\0)\n", true);
	refuses("a: 1\n---\nb: 2\n", "f:2:1: a second document begins here; put everything in one\n", true);
	refuses("a: x\x01y", "f:1:5: a character that YAML does not allow (U+0001); remove it, or write it as an "
	                     "escape in double quotes\n", false);
	refuses("a: x\xEF\xBF\xBE", "f:1:5: a character that YAML does not allow (U+FFFE); remove it, or write it "
	                            "as an escape in double quotes\n", false);
	refuses("a: [b", "f:2:1: not YAML: did not find expected ',' or ']' while parsing a flow sequence that "
	                 "begins in line 1; close what was opened with { or [ and separate its parts by "
	                 "commas\n", false);
}

/* What has been complained about is not for others to look at again. */
static void
test_refused_nodes(void)
{
	parse("a: &x 1\nb: *x\nc: \"\\0\"\nd: 2\n*x : 3\n");
	TAP_INT(problems.errors, 4);
	CU_ASSERT_FATAL(doc.root != NULL);
	TAP_INT(doc.root->first->kind, NODE_REFUSED);
	TAP_INT(doc.root->first->next->kind, NODE_REFUSED);
	TAP_INT(doc.root->first->next->next->kind, NODE_REFUSED);
	TAP_INT(doc.root->first->next->next->next->kind, NODE_SCALAR);
	TAP_INT(doc.root->first->next->next->next->next->key->kind, NODE_REFUSED);
	forget();
}

/* What stood before the error is still there; the value right before it is not to be trusted. */
static void
test_broken_off(void)
{
	parse("a: 1\nb: x\n c: y\nd: 2\n");
	CU_ASSERT(!doc.complete);
	TAP_INT(problems.errors, 1);
	TAP_STR(doc.root->first->text, "1");
	CU_ASSERT(!doc.root->first->doubtful);
	CU_ASSERT(doc.root->first->next->doubtful);
	forget();
}

static void
repeated(const char *unit, size_t times, const char *message, bool complete)
{
	struct buf text __attribute__((cleanup(buf_done))) = BUF_INIT;

	for (size_t i = 0; i < times; i++)
		buf_add_str(&text, unit);
	refuses(buf_str(&text), message, complete);
}

static void
test_bounds(void)
{
	repeated("[", 100, "f:1:17: nested too deeply for a configuration\n", false);
	repeated("{a: ", 5000, "f:1:65: nested too deeply for a configuration\n", false);
	repeated("- ", 20, "f:1:33: nested too deeply for a configuration\n", false);
	repeated("- a\n", 19998, "", true);
	repeated("- a\n", 30000, "f:20000:3: more values than a configuration can have\n", false);
}

/* A million aliases of aliases stay what they are: complaints. */
static void
test_laughs(void)
{
	parse("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n");
	TAP_INT(problems.errors, 7);
	CU_ASSERT(doc.complete);
	forget();
}

int
main(void)
{
	tap_suite_fixture("document", begin, NULL);
	tap_test("a tree that knows its places", test_tree);
	tap_test("what YAML takes for null", test_null);
	tap_test("nothing at all, and a byte order mark", test_nothing);
	tap_test("columns count characters", test_columns_are_characters);
	tap_test("what has no use in a configuration", test_refused);
	tap_test("what is refused is marked so", test_refused_nodes);
	tap_test("a text that breaks off", test_broken_off);
	tap_test("depth and number are bounded", test_bounds);
	tap_test("aliases are not followed", test_laughs);
	return tap_run();
}
