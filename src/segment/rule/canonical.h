/*
 * canonical.h
 *		Writes rules in their canonical form.
 */
#ifndef CDP_SEGMENT_CANONICAL_H
#define CDP_SEGMENT_CANONICAL_H

#include "segment/rule/rule.h"

extern void cdp_rule_put_const(StringInfo out, const RuleConst *c);
extern char *cdp_rule_cond_text(const RuleCond *cond);
extern char *cdp_rule_node_text(const RuleNode *node);
extern char *cdp_rule_text(const Rule *rule);

/* rulesql.c */
extern void cdp_rule_throw(const RuleReader *r, const char *segment);

#endif							/* CDP_SEGMENT_CANONICAL_H */
