/*
 * stage.h
 *		Stages: where customers stand in a journey of ordered stages, and how
 *		they got there.
 *
 * stage_options.c reads what the stages are; stage_pass.c stores rows, walks each
 * customer through the stages and counts; stage_rows.c opens the result.
 */
#ifndef CDP_STAGE_H
#define CDP_STAGE_H

#include "journey/outcome.h"

#define CDP_MAX_STAGES 64

/* Kinds of counts; a stage follows. A stay is one time in a stage. */
#define CDP_KEY_STAY 0			/* stage */
#define CDP_KEY_ENGAGED 1		/* stage: stays with an engagement, value = how many */
#define CDP_KEY_CONVERTED 2		/* stage: stays that went on to a later one */
#define CDP_KEY_FLOW 3			/* stage + 1 or CDP_FROM_OUTSIDE, stage + CDP_TO_STAGE or CDP_TO_* */

#define CDP_FROM_OUTSIDE 0
#define CDP_TO_EXIT 0
#define CDP_TO_DROPPED 1
#define CDP_TO_STAYING 2
#define CDP_TO_STAGE 3

/* How a customer stands. */
typedef enum CdpStandingStatus
{
	CDP_STANDS_ACTIVE,
	CDP_STANDS_DROPPED,
	CDP_STANDS_EXITED,
	CDP_STANDINGS
} CdpStandingStatus;

typedef struct CdpStage
{
	char	   *name;
	CdpTexts	enter;
	CdpTexts	engage;
	int			count;			/* rows of enter that it takes */
} CdpStage;

typedef struct CdpStageOptions
{
	int			stages;			/* how many; the field is read and written by functions */
	CdpStage   *stage;
	bool		skip;
	bool		back;
	CdpTexts	exits;
	int64		idle;			/* PG_INT64_MAX = never dropped */
	bool		customers;
	bool		durations;
	int64		since;
	int64		until;
	int64		as_of;
} CdpStageOptions;

extern const CdpFields cdp_stage_fields;
extern const CdpOutcomeKind cdp_stage_kind;

#endif							/* CDP_STAGE_H */
