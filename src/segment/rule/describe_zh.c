/*
 * describe_zh.c
 *		Segment rules in Chinese.
 */
#include "segment/rule/describe.h"

/* Between the entries of a list. The words here are UTF-8, as the database is: the caller has looked. */
#define LIST_MARK "、"

/* The counted word of a unit. */
static const char *
unit_word(const char *unit)
{
	static const char *const words[][2] = {
		{"second", "秒"}, {"minute", "分钟"}, {"hour", "小时"}, {"day", "天"}, {"week", "周"},
		{"month", "个月"}, {"quarter", "个季度"}, {"year", "年"},
	};

	for (int i = 0; i < lengthof(words); i++)
		if (strcmp(unit, words[i][0]) == 0)
			return words[i][1];
	return unit;
}

/* Appends a duration. */
static void
say_span(StringInfo out, const char *duration)
{
	CdpTextSpan span = cdp_text_span(duration);

	if (span.count == NULL)
		appendStringInfo(out, "'%s'", duration);
	else
		appendStringInfo(out, " %s %s", span.count, unit_word(span.unit));
}

/* The word of this or the previous calendar unit. */
static const char *
calendar_word(const char *unit, bool previous)
{
	static const char *const words[][3] = {
		{"day", "今天", "昨天"}, {"week", "本周", "上周"}, {"month", "本月", "上个月"},
		{"quarter", "本季度", "上个季度"}, {"year", "今年", "去年"},
	};

	for (int i = 0; i < lengthof(words); i++)
		if (strcmp(unit, words[i][0]) == 0)
			return words[i][previous ? 2 : 1];
	return unit;
}

/* Appends a window. */
static void
say_window(StringInfo out, const CdpTextWindow *w)
{
	switch (w->kind)
	{
		case WINDOW_NONE:
			appendStringInfoString(out, "至今");
			break;
		case WINDOW_LAST:
			appendStringInfoString(out, "最近");
			say_span(out, w->a);
			appendStringInfoString(out, "内");
			break;
		case WINDOW_BETWEEN:
			appendStringInfoString(out, "从");
			say_span(out, w->a);
			appendStringInfoString(out, "前到");
			if (strncmp(w->b, "0 ", 2) == 0)
				appendStringInfoString(out, "现在");
			else
			{
				say_span(out, w->b);
				appendStringInfoString(out, "前");
			}
			break;
		case WINDOW_THIS:
			appendStringInfoString(out, calendar_word(w->a, false));
			break;
		case WINDOW_PREVIOUS:
			appendStringInfoString(out, calendar_word(w->a, true));
			break;
		case WINDOW_ABSOLUTE:
			if (w->a != NULL)
				appendStringInfo(out, "自 %s 起", w->a);
			if (w->b != NULL)
				appendStringInfo(out, "%s%s 之前", w->a != NULL ? "，" : " ", w->b);
			break;
	}
}

/* Appends a comparison, beginning with a blank. */
static void
say_test(StringInfo out, const CdpTextTest *test, bool negated)
{
	static const struct
	{
		const char *before;
		const char *after;
	}			words[TEXT_OPS] = {
		{"等于 ", ""}, {"不等于 ", ""}, {"小于 ", ""}, {"不大于 ", ""}, {"大于 ", ""}, {"不小于 ", ""},
		{"是以下之一：", ""}, {"不是以下任何一个：", ""}, {"在 ", " 之间（含两端）"}, {"不在 ", " 之间（含两端）"},
		{"", ""}, {"以 ", " 开头"}, {"以 ", " 结尾"}, {"包含 ", ""}, {"不包含 ", ""},
		{"含有 ", ""}, {"至少含有以下之一：", ""}, {"同时含有：", ""},
		{"在最近", "内"}, {"在未来", "内"}, {"早于最近", ""}, {"的周年日在未来", "内"}
	};
	CdpTextOp	op = negated ? cdp_text_opposite(test) : test->op;
	JsonbValue *v = test->values != NIL ? linitial(test->values) : NULL;	/* only a list may be empty */

	Assert(v != NULL || cdp_text_ops[op].operand == OPERAND_LIST);
	if (cdp_text_ops[op].operand == OPERAND_TRUTH)
	{
		appendStringInfoString(out, v->val.boolean != negated ? " 有值" : " 没有值");
		return;
	}
	appendStringInfo(out, " %s", words[op].before);
	if (cdp_text_ops[op].operand == OPERAND_DURATION)
		say_span(out, pnstrdup(v->val.string.val, v->val.string.len));
	else
		cdp_describe_values(out, test->values, cdp_text_ops[op].operand == OPERAND_TWO ? " 与 " : LIST_MARK);
	appendStringInfoString(out, words[op].after);
}

/* Appends how many, with the counted word: "至少 2 次". */
static void
say_number(StringInfo out, const CdpTextTest *test, const char *counted)
{
	static const char *const words[] = {"恰好", "不是", "少于", "至多", "多于", "至少"};
	const JsonbValue *v = linitial(test->values);

	if (test->op > TEXT_GTE || v->type != jbvNumeric)
		say_test(out, test, false);
	else
		appendStringInfo(out, "%s %s %s", words[test->op], cdp_text_number(v), counted);
}

/* Appends the name of a field of events. */
static void
say_field(StringInfo out, const char *name)
{
	static const char *const words[][2] = {
		{"channel", "渠道"}, {"channel_group", "渠道组"}, {"campaign", "活动"}, {"source", "来源"}, {"value", "金额"},
	};

	for (int i = 0; i < lengthof(words); i++)
		if (strcmp(name, words[i][0]) == 0)
			appendStringInfoString(out, words[i][1]);
}

/* Appends a condition on events; what is in brackets belongs together. */
static void
say_condition(StringInfo out, const CdpTextNode *node, bool inner)
{
	const CdpTextNode *part;
	ListCell   *cell;
	bool		brackets;

	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	switch (node->kind)
	{
		case TEXT_NOT:
			part = linitial(node->parts);
			appendStringInfoString(out, "不满足（");
			say_condition(out, part, false);
			appendStringInfoString(out, "）");
			return;
		case TEXT_ALL:
		case TEXT_ANY:
			brackets = inner && list_length(node->parts) > 1;
			if (node->parts == NIL)
				appendStringInfoString(out, node->kind == TEXT_ALL ? "没有限制" : "不可能成立");
			if (brackets)
				appendStringInfoString(out, "（");
			foreach(cell, node->parts)
			{
				if (cell != list_head(node->parts))
					appendStringInfoString(out, node->kind == TEXT_ALL ? " 且 " : " 或 ");
				say_condition(out, lfirst(cell), list_length(node->parts) > 1 || inner);
			}
			if (brackets)
				appendStringInfoString(out, "）");
			return;
		default:
			if (node->kind == TEXT_FIELD)
				say_field(out, node->name);
			else
				cdp_describe_name(out, node->name);
			say_test(out, node->test, false);
	}
}

/* Appends the condition on events when there is one. */
static void
say_where(StringInfo out, const CdpTextNode *node)
{
	if (node->where == NULL)
		return;
	appendStringInfoString(out, "（只计：");
	say_condition(out, node->where, false);
	appendStringInfoString(out, "）");
}

/* Appends kinds of events with their condition, a blank before, and one after where more words follow. */
static void
say_kinds(StringInfo out, const CdpTextNode *node, bool more)
{
	appendStringInfoChar(out, ' ');
	cdp_describe_names(out, node->kinds, " 或 ");
	say_where(out, node);
	if (node->where == NULL && more)
		appendStringInfoChar(out, ' ');
}

/* Appends an event atom. */
static void
say_event(StringInfo out, const CdpTextNode *node, bool negated)
{
	static const char *const words[TEXT_AGGS] = {
		[TEXT_SUM] = "合计", [TEXT_AVG] = "平均值", [TEXT_MIN] = "最小值", [TEXT_MAX] = "最大值",
		[TEXT_DISTINCT] = "不同取值的个数", [TEXT_FIRST] = "第一个已知值", [TEXT_LAST] = "最后一个已知值",
	};

	say_window(out, &node->window);
	if (!CDP_TEXT_HAS_OPERAND(node->agg))
	{
		bool		never = negated || (node->agg != TEXT_DID && cdp_text_asks_never(node->test));

		if (never)
		{
			appendStringInfoString(out, "没有");
			say_kinds(out, node, false);
		}
		else if (node->agg == TEXT_DAYS)
		{
			appendStringInfoString(out, "有");
			say_kinds(out, node, true);
			appendStringInfoString(out, "的天数：");
			say_number(out, node->test, "天");
		}
		else
		{
			say_kinds(out, node, true);
			if (node->agg == TEXT_DID)
				appendStringInfoString(out, "至少 1 次");
			else
				say_number(out, node->test, "次");
		}
		return;
	}
	say_kinds(out, node, true);
	appendStringInfoString(out, "的 ");
	if (node->of_field)
		say_field(out, node->name);
	else
		cdp_describe_name(out, node->name);
	appendStringInfo(out, " %s", words[node->agg]);
	say_test(out, node->test, negated);
}

/* Appends a named behaviour. */
static void
say_behaviour(StringInfo out, const CdpTextNode *node)
{
	static const char *const periods[][2] = {{"day", "天"}, {"week", "周"}, {"month", "个月"}};
	const char *period = node->unit;

	switch (node->kind)
	{
		case TEXT_FIRST_TIME:
			say_window(out, &node->window);
			appendStringInfoString(out, "首次有");
			say_kinds(out, node, false);
			break;
		case TEXT_REGULARLY:
			for (int i = 0; i < lengthof(periods); i++)
				if (strcmp(node->unit, periods[i][0]) == 0)
					period = periods[i][1];
			appendStringInfo(out, "最近 %s 个完整的%s中至少有 %s %s有", cdp_text_number(node->of),
							 strcmp(node->unit, "month") == 0 ? "月" : period,
							 cdp_text_number(node->at_least), period);
			say_kinds(out, node, false);
			break;
		case TEXT_STOPPED:
			say_window(out, &node->window);
			appendStringInfoString(out, "有");
			say_kinds(out, node, false);
			appendStringInfoString(out, "，此后没有");
			break;
		default:
			say_window(out, &node->window);
			appendStringInfoString(out, "又有");
			say_kinds(out, node, false);
			appendStringInfoString(out, "，之前至少停了");
			say_span(out, node->after);
	}
}

/* Appends a sequence, its steps on lines of their own. */
static void
say_sequence(StringInfo out, const CdpTextNode *node, int indent)
{
	ListCell   *cell;
	int			n = 0;

	appendStringInfoString(out, "依次发生，第一步在");
	say_window(out, &node->window);
	if (node->total != NULL)
	{
		appendStringInfoString(out, "，从第一步到最后一步不超过");
		say_span(out, node->total);
	}
	appendStringInfoString(out, "：");
	foreach(cell, node->parts)
	{
		const CdpTextNode *step = lfirst(cell);

		appendStringInfo(out, "\n%*s%d. %s", indent, "", ++n, step->absent ? "没有 " : "");
		cdp_describe_names(out, step->kinds, " 或 ");
		say_where(out, step);
		if (step->within != NULL)
		{
			appendStringInfoString(out, step->absent ? "，直到上一步之后" : "，距上一步不超过");
			say_span(out, step->within);
		}
		if (step->has_same)
		{
			appendStringInfoString(out, "，与上一步相同的 ");
			cdp_describe_names(out, step->same, LIST_MARK);
		}
	}
	foreach(cell, node->breaks)
	{
		appendStringInfo(out, "\n%*s其间没有", indent, "");
		say_kinds(out, lfirst(cell), false);
	}
	if (node->ties != NULL && strcmp(node->ties, "order") == 0)
		appendStringInfo(out, "\n%*s同一时刻的事件按记录的先后计", indent, "");
}

/* Appends a rank. */
static void
say_rank(StringInfo out, const CdpTextNode *node, bool negated)
{
	appendStringInfo(out, "按%s ", node->of_trait ? "特征" : "");
	cdp_describe_name(out, node->name);
	appendStringInfo(out, " 排名%s在%s ", negated ? "不" : "", node->bottom ? "后" : "前");
	if (node->amount->type == jbvString)
		appendBinaryStringInfo(out, node->amount->val.string.val, node->amount->val.string.len);
	else
	{
		cdp_describe_value(out, node->amount);
		appendStringInfoString(out, " 名");
	}
}

/* Tells whether a clause has a negative of its own. */
static bool
negates(const CdpTextNode *node)
{
	return cdp_tongue_en.negates(node);
}

/* Appends an atom as a clause. */
static void
clause(StringInfo out, const CdpTextNode *node, bool negated, int indent)
{
	const char *not = negated ? "不" : "";

	switch (node->kind)
	{
		case TEXT_TRAIT:
			appendStringInfoString(out, "特征 ");
			/* FALLTHROUGH */
		case TEXT_ATTR:
			cdp_describe_name(out, node->name);
			say_test(out, node->test, negated);
			break;
		case TEXT_EVENT:
			say_event(out, node, negated);
			break;
		case TEXT_SEQ:
			say_sequence(out, node, indent);
			break;
		case TEXT_SEGMENT:
			appendStringInfo(out, "%s属于分群 ", not);
			cdp_describe_name(out, node->name);
			break;
		case TEXT_LIST:
			appendStringInfo(out, "%s在名单 ", not);
			cdp_describe_name(out, node->name);
			appendStringInfoString(out, " 中");
			break;
		case TEXT_RANK:
			say_rank(out, node, negated);
			break;
		case TEXT_CONSENT:
			appendStringInfo(out, "%s同意用途 ", not);
			cdp_describe_name(out, node->name);
			if (node->second != NULL)
			{
				appendStringInfoString(out, "（渠道 ");
				cdp_describe_name(out, node->second);
				appendStringInfoString(out, "）");
			}
			break;
		case TEXT_HOLDOUT:
			appendStringInfo(out, "%s在留出组 ", not);
			cdp_describe_name(out, node->name);
			appendStringInfoString(out, " 的 ");
			cdp_describe_name(out, node->second != NULL ? node->second : "control");
			appendStringInfoString(out, " 组中");
			break;
		default:
			say_behaviour(out, node);
	}
}

const CdpTongue cdp_tongue_zh = {
	.everybody = "全部客户。",
	.nobody = "没有客户。",
	.one = "满足以下条件的客户：",
	.after_one = "。",
	.whole = {"同时满足以下全部条件的客户：", "满足以下至少一个条件的客户：",
	"不同时满足以下全部条件的客户：", "以下条件一个也不满足的客户："},
	.part = {"同时满足以下全部条件：", "满足以下至少一个条件：", "不同时满足以下全部条件：", "以下条件一个也不满足："},
	.always = "没有限制（总是成立）",
	.never = "不可能成立",
	.not_so = "以下不成立：",
	.zone = "日期按时区 ",
	.after_zone = " 计算。",
	.unknown = "与缺失值的比较结果未知，其反面也未知；整体结果未知的客户不计入。",
	.clause = clause,
	.negates = negates,
};
