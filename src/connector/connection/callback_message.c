/*
 * callback_message.c
 *		Messages of callbacks: the XML of WeCom and WeChat, or JSON, as JSON.
 *
 * Their XML is elements with texts, bare or as CDATA, and nothing else.  That is
 * all that is read: no document type, so no entity but the five of XML, no file and
 * no address is ever followed; attributes and comments are skipped.  An element
 * with elements in it becomes an object, one without a text; elements of one name
 * side by side become a list.  The name of the outermost one is not kept.
 */
#include "connector/connection/callback_message.h"

#include "connector/manifest/scrub.h"
#include "mb/pg_wchar.h"

#define REPLACEMENT 0xFFFD

typedef struct Element
{
	char	   *name;
	int			number;			/* among all, from 0: the order in which they stand */
	StringInfoData text;
	int			n,
				room;
	struct Element **inner;
} Element;

typedef struct Reader
{
	const char *start,
			   *p,
			   *end;
	int			elements;
	const char *problem;
} Reader;

/* Notes a problem at the place reached, without what stands there; returns NULL. */
static Element *
fail(Reader *r, const char *what)
{
	if (r->problem == NULL)
		r->problem = psprintf("not XML at byte %ld: %s", (long) (r->p - r->start), what);
	return NULL;
}

/* Whether a text stands at the place reached; then it is passed. */
static bool
take(Reader *r, const char *what)
{
	size_t		len = strlen(what);

	if ((size_t) (r->end - r->p) < len || memcmp(r->p, what, len) != 0)
		return false;
	r->p += len;
	return true;
}

/* Passes everything up to a text and that text; false when it does not come. */
static bool
pass(Reader *r, const char *what)
{
	size_t		len = strlen(what);

	for (; (size_t) (r->end - r->p) >= len; r->p++)
		if (memcmp(r->p, what, len) == 0)
		{
			r->p += len;
			return true;
		}
	r->p = r->end;
	return false;
}

/* Whether a byte is a blank of XML. */
static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Passes blanks. */
static void
pass_blanks(Reader *r)
{
	while (r->p < r->end && is_blank(*r->p))
		r->p++;
}

/* Passes blanks, comments and instructions; false when one of them does not end. */
static bool
pass_idle(Reader *r)
{
	for (;;)
	{
		pass_blanks(r);
		if (take(r, "<!--"))
		{
			if (!pass(r, "-->"))
				return false;
		}
		else if (take(r, "<?"))
		{
			if (!pass(r, "?>"))
				return false;
		}
		else
			return true;
	}
}

/* The name at the place reached, palloced; NULL when there is none. */
static char *
read_name(Reader *r)
{
	const char *from = r->p;

	while (r->p < r->end && (((unsigned char) *r->p | 0x20) - 'a' < 26u || (unsigned char) *r->p >= 0x80 || *r->p == '_' || *r->p == ':' ||
							 (r->p > from && ((*r->p >= '0' && *r->p <= '9') || *r->p == '-' || *r->p == '.'))))
		r->p++;
	return r->p == from || r->p - from > 200 ? NULL : pnstrdup(from, r->p - from);
}

/* Appends a character by its number; what jsonb can not hold becomes U+FFFD. */
static void
append_character(StringInfo text, uint32 c)
{
	unsigned char bytes[8];

	if (c == 0 || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
		c = REPLACEMENT;
	unicode_to_utf8(c, bytes);
	appendBinaryStringInfo(text, (char *) bytes, pg_utf_mblen(bytes));
}

/* Reads what stands behind & up to the semicolon; false when it is none of the five names and no number. */
static bool
read_entity(Reader *r, StringInfo text)
{
	static const struct
	{
		const char *name;
		char		c;
	}			names[] = {{"lt;", '<'}, {"gt;", '>'}, {"amp;", '&'}, {"quot;", '"'}, {"apos;", '\''}};
	uint32		number = 0;
	int			digits = 0;
	bool		hex;

	for (int i = 0; i < lengthof(names); i++)
		if (take(r, names[i].name))
		{
			appendStringInfoChar(text, names[i].c);
			return true;
		}
	if (!take(r, "#"))
		return false;
	hex = take(r, "x");
	for (; r->p < r->end && digits < 8 && (hex ? isxdigit((unsigned char) *r->p) : *r->p >= '0' && *r->p <= '9'); r->p++, digits++)
		number = number * (hex ? 16 : 10) + (*r->p <= '9' ? *r->p - '0' : (*r->p | 0x20) - 'a' + 10);
	if (digits == 0 || !take(r, ";"))
		return false;
	append_character(text, number);
	return true;
}

/* Reads attributes up to the end of a tag; true with *empty when it ends at once, such as <a/>. */
static bool
read_attributes(Reader *r, bool *empty)
{
	for (;;)
	{
		char	   *name;
		const char *quote;

		pass_blanks(r);
		*empty = take(r, "/>");
		if (*empty || take(r, ">"))
			return true;
		name = read_name(r);
		pass_blanks(r);
		if (name == NULL || !take(r, "="))
			return false;
		pass_blanks(r);
		quote = take(r, "\"") ? "\"" : take(r, "'") ? "'" : NULL;
		if (quote == NULL || !pass(r, quote))
			return false;
	}
}

/* Reads an element from its < on, palloced; NULL with a problem. */
static Element *
read_element(Reader *r, int depth)
{
	Element    *e = palloc0(sizeof(Element));
	bool		empty;

	CHECK_FOR_INTERRUPTS();
	if (depth > CALLBACK_MESSAGE_MAX_DEPTH || r->elements >= CALLBACK_MESSAGE_MAX_ELEMENTS)
		return fail(r, "too deep, or too many elements");
	e->number = r->elements++;
	initStringInfo(&e->text);
	if (!take(r, "<") || (e->name = read_name(r)) == NULL)
		return fail(r, "an element must begin here");
	if (!read_attributes(r, &empty))
		return fail(r, "this tag does not end");
	while (!empty)
	{
		const char *from = r->p;

		while (r->p < r->end && *r->p != '<' && *r->p != '&')
			r->p++;
		appendBinaryStringInfo(&e->text, from, r->p - from);
		from = r->p;
		if (take(r, "&"))
		{
			if (!read_entity(r, &e->text))
				return fail(r, "no entity but those of XML is known");
		}
		else if (take(r, "<![CDATA["))
		{
			from = r->p;
			if (!pass(r, "]]>"))
				return fail(r, "CDATA that does not end");
			appendBinaryStringInfo(&e->text, from, r->p - 3 - from);
		}
		else if (take(r, "<!--"))
		{
			if (!pass(r, "-->"))
				return fail(r, "a comment that does not end");
		}
		else if (take(r, "</"))
		{
			char	   *name = read_name(r);

			pass_blanks(r);
			if (name == NULL || strcmp(name, e->name) != 0 || !take(r, ">"))
				return fail(r, "another element ends here than began");
			break;
		}
		else if (r->p >= r->end)
			return fail(r, "the message ends within an element");
		else
		{
			Element    *inner = read_element(r, depth + 1);

			if (inner == NULL)
				return NULL;
			if (e->n >= e->room)
			{
				e->room = Max(4, 2 * e->room);
				e->inner = e->inner == NULL ? palloc(e->room * sizeof(Element *)) : repalloc(e->inner, e->room * sizeof(Element *));
			}
			e->inner[e->n++] = inner;
		}
	}
	return e;
}

/* Orders elements by their names, and those of one name as they stand. */
static int
compare_elements(const void *x, const void *y)
{
	const Element *a = *(Element *const *) x;
	const Element *b = *(Element *const *) y;
	int			c = strcmp(a->name, b->name);

	return c != 0 ? c : a->number - b->number;
}

/* A text as a value of JSON. */
static JsonbValue
text_value(char *text, int len)
{
	JsonbValue	v;

	v.type = jbvString;
	v.val.string.val = text;
	v.val.string.len = len;
	return v;
}

/* Pushes what an element holds: an object or a text; token says as what. */
static void
push_element(JsonbParseState **state, Element *e, JsonbIteratorToken token, JsonbValue **result)
{
	if (e->n == 0 && result == NULL)
	{
		JsonbValue	v = text_value(e->text.data, e->text.len);

		pushJsonbValue(state, token, &v);
		return;
	}
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	qsort(e->inner, e->n, sizeof(Element *), compare_elements);
	for (int i = 0; i < e->n;)
	{
		JsonbValue	key = text_value(e->inner[i]->name, strlen(e->inner[i]->name));
		int			to = i + 1;

		while (to < e->n && strcmp(e->inner[to]->name, e->inner[i]->name) == 0)
			to++;
		pushJsonbValue(state, WJB_KEY, &key);
		if (to == i + 1)
			push_element(state, e->inner[i], WJB_VALUE, NULL);
		else
		{
			pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
			for (int k = i; k < to; k++)
				push_element(state, e->inner[k], WJB_ELEM, NULL);
			pushJsonbValue(state, WJB_END_ARRAY, NULL);
		}
		i = to;
	}
	if (result != NULL)
		*result = pushJsonbValue(state, WJB_END_OBJECT, NULL);
	else
		pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/*
 * The message as an object, palloced; characters that jsonb can not hold are replaced and counted.
 * NULL with a problem, which tells a place and nothing of the content.
 */
Jsonb *
cdp_callback_message(const char *bytes, int len, int64 *scrubbed, const char **problem)
{
	StringInfoData text;
	Reader		r = {0};
	Element    *root;
	JsonbParseState *state = NULL;
	JsonbValue *value = NULL;
	int			blanks = 0;

	*scrubbed = 0;
	*problem = NULL;
	if (len > CALLBACK_MESSAGE_MAX_BYTES)
	{
		*problem = psprintf("a message has at most %d bytes", CALLBACK_MESSAGE_MAX_BYTES);
		return NULL;
	}
	if (len >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0)
	{
		bytes += 3;
		len -= 3;
	}
	while (blanks < len && is_blank(bytes[blanks]))
		blanks++;
	if (blanks < len && bytes[blanks] == '{')
		return cdp_scrub_jsonb(bytes, len, scrubbed, problem);
	cdp_scrub_require_utf8();
	initStringInfo(&text);
	cdp_scrub_text(bytes, len, &text, scrubbed);
	r.start = r.p = text.data;
	r.end = text.data + text.len;
	if (!pass_idle(&r))
		fail(&r, "a comment or an instruction does not end");
	root = r.problem != NULL ? NULL : read_element(&r, 1);
	if (root != NULL && (!pass_idle(&r) || r.p < r.end))
		root = fail(&r, "something stands behind the message");
	if (root != NULL && root->n == 0)
		root = fail(&r, "there is no element in the message");
	if (root == NULL)
	{
		*problem = r.problem;
		return NULL;
	}
	push_element(&state, root, WJB_VALUE, &value);
	return JsonbValueToJsonb(value);
}
