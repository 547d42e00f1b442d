/*
 * plan.h
 *		Makes the plan of a set of rules: names as numbers, constants as typed
 *		values, windows as moments, and every identical part once.
 *
 * The form of the plan is told in docs/segments.md, "Plans".  Parts are kept as
 * JSON text, which is also what tells that two are the same.
 */
#ifndef CDP_SEGMENT_PLAN_H
#define CDP_SEGMENT_PLAN_H

#include "segment/rule/canonical.h"

typedef enum PlanNodeKind
{
	PLAN_LEAF, PLAN_EVERYBODY, PLAN_NOBODY, PLAN_NOT, PLAN_LIST
} PlanNodeKind;

/* What folding needs to know of a node. */
typedef struct PlanNode
{
	PlanNodeKind kind;
	int			child;			/* of not */
} PlanNode;

typedef struct PlanWindow
{
	bool		has_from,
				slides_from,
				slides_to;
	int64		from,
				to,
				slide_from,
				slide_to;
} PlanWindow;

typedef struct PlanMaker
{
	const JsonbContainer *catalog;
	TimestampTz as_of;
	RuleTable	conditions,
				events,
				attributes,
				sets,
				nodes,
				kinds;
	PlanNode   *node;			/* beside the texts of nodes */
	int			node_room;
	bool		has_boundary,
				unbounded,		/* some event atom reads all the past */
				has_from;
	int64		boundary,
				from;
	bool		need_properties,
				need_value,
				need_ids,
				need_origin;
	/* the rule at hand */
	const Rule *rule;
	int			today;			/* day of as_of in its zone */
	StringInfo	paths;			/* its nodes by path, or NULL */
} PlanMaker;

/* plan_window.c */
extern void cdp_plan_boundary(PlanMaker *m, int64 at);
extern PlanWindow cdp_plan_window(PlanMaker *m, const RuleWindow *w);
extern void cdp_plan_reads(PlanMaker *m, const PlanWindow *w);
extern void cdp_plan_put_window(StringInfo out, const PlanWindow *w);

/* plan_test.c */
extern void cdp_plan_put_value(StringInfo out, const RuleConst *c);
extern bool cdp_plan_put_test(StringInfo out, const RuleTest *test, const char *op_key);
extern RuleTest cdp_plan_has(const RuleTest *test, int i);
extern bool cdp_plan_text_matches(const RuleTest *test, const char *text);
extern bool cdp_plan_negated(RuleOp op);

/* plan_condition.c */
extern void cdp_plan_put_kinds(PlanMaker *m, StringInfo out, const RuleEvents *events);
extern void cdp_plan_put_of(PlanMaker *m, StringInfo out, const RuleEvents *events);

/* plan_event.c */
extern int	cdp_plan_event_node(PlanMaker *m, const RuleNode *node);

/* plan_attribute.c */
extern int	cdp_plan_attribute_node(PlanMaker *m, const RuleNode *node);
extern int	cdp_plan_set_node(PlanMaker *m, const RuleNode *node);
extern int	cdp_plan_rank_node(PlanMaker *m, const RuleNode *node);

/* plan_node.c */
extern int	cdp_plan_leaf(PlanMaker *m, const char *kind, int i);
extern int	cdp_plan_everybody(PlanMaker *m);
extern int	cdp_plan_nobody(PlanMaker *m);
extern int	cdp_plan_not(PlanMaker *m, int node);
extern int	cdp_plan_list(PlanMaker *m, bool all, int *child, int n);
extern int	cdp_plan_both(PlanMaker *m, int a, int b);
extern int	cdp_plan_members(PlanMaker *m, int node, bool sql_nulls);

#endif							/* CDP_SEGMENT_PLAN_H */
