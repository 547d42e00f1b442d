/*
 * attribution.h
 *		The attribution room: its options, its labels, and the journey that
 *		every model works on.
 *
 * The way of a row: pass.c packs it into store.c; at the end journey.c takes
 * one customer after another, sorts the rows and cuts them into journeys;
 * sums.c adds each journey to exact sums, with the weights of rules.c and the
 * path statistics of transitions.c, coalitions.c and pathtable.c; partial.c
 * turns the sums into a value of type cdp.attribution_partial; totals.c,
 * credit.c and the reports open such values.
 */
#ifndef CDP_ATTRIBUTION_H
#define CDP_ATTRIBUTION_H

#include "cdp.h"

#include "base/micro.h"
#include "base/rows/memory.h"
#include "base/rows/labels.h"
#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

/* Weights of a conversion are whole units of 1e-15, money is whole micro-units. */
#define CDP_UNITS_ONE INT64CONST(1000000000000000)

#define CDP_MAX_MODELS 100
#define CDP_MAX_ORDER 50
#define CDP_MAX_PARAMETERS 10000
#define CDP_MAX_MILESTONES 2
#define CDP_UNATTRIBUTED "(unattributed)"

typedef enum CdpModelKind
{
	/* rule models: the journey alone gives the weights */
	CDP_MODEL_FIRST,
	CDP_MODEL_LAST,
	CDP_MODEL_FIRST_NON,
	CDP_MODEL_LAST_NON,
	CDP_MODEL_LINEAR,
	CDP_MODEL_LINEAR_UNIQUE,
	CDP_MODEL_POSITION,
	CDP_MODEL_MILESTONES, /* w_shaped and full_path */
	CDP_MODEL_TIME_DECAY,
	CDP_MODEL_EXPONENTIAL,
	CDP_MODEL_RAMP,
	CDP_MODEL_CUSTOM,
	CDP_MODEL_SAME_TOUCH,
	CDP_MODEL_PARTICIPATION,
	/* data-driven models: all journeys together give the shares */
	CDP_MODEL_MARKOV,
	CDP_MODEL_SHAPLEY,
	CDP_MODEL_SHAPLEY_ORDERED,
	CDP_MODEL_SHAPLEY_RATE,
	CDP_MODEL_ONE_REMOVED
} CdpModelKind;

#define CDP_MODEL_IS_RULE(kind) ((kind) < CDP_MODEL_MARKOV)

typedef struct CdpModel
{
	CdpModelKind kind;
	char	   *name;			/* as typed, blanks folded */
	int			order;			/* markov */
	int			nparams;		/* position (2), exponential (1), custom, milestones (4) */
	double	   *param;
	int			nlabels;		/* first_non, last_non: labels passed over */
	char	  **label;
	int64		half_life;		/* time_decay, microseconds */
	bool		step;			/* time_decay in whole half-lives */
} CdpModel;

typedef enum CdpConversionTouch
{
	CDP_CONVERSION_NO_TOUCH,
	CDP_CONVERSION_TOUCHES_LATER,
	CDP_CONVERSION_TOUCHES_ALSO
} CdpConversionTouch;

typedef struct CdpOptions
{
	int			nmodels;
	CdpModel   *model;
	int64		lookback;		/* microseconds; PG_INT64_MAX = unbounded */
	int			nkinds;			/* lookback_by_kind, sorted by name */
	char	  **kind;
	int64	   *kind_lookback;
	int			max_touches;	/* 0 = no limit */
	int64		since;			/* DT_NOBEGIN = no limit */
	int64		until;			/* DT_NOEND = no limit */
	int64		as_of;			/* DT_NOEND = no limit */
	bool		reset;			/* journeys start anew at each conversion */
	bool		collapse;
	CdpConversionTouch conversion_is_touch;
	bool		fallback_plain;
	bool		two_touch_split;
	bool		null_paths;
	bool		paths;
	bool		credits;
	int			nexclude;
	char	  **exclude;
	int			ninclude;
	char	  **include;
	int			nmilestones;
	char	  **milestone;
	char	   *grouping;		/* carried and compared only; may be NULL */
	char	   *time_zone;
	char	   *dialect;
	int			nlabel_names;	/* names of integer labels 1, 2, ...; not part of the result */
	char	  **label_name;

	/* what the models ask for */
	bool		has_rules;
	bool		need_nulls;		/* journeys that do not convert matter */
	bool		need_sessions;
	bool		need_times;		/* a model looks at times; refused for aggregated paths */
	int			norders;		/* Markov orders, ascending */
	int			order[CDP_MAX_ORDER];
	bool		need_coalitions;
	bool		need_ordered;	/* coalitions with positions */
	bool		need_pathtable;
} CdpOptions;

/* One whole journey, oldest touch first. */
typedef struct CdpJourney
{
	int			n;
	const uint32 *label;		/* 0 .. labels.n - 1 */
	const int64 *at;			/* as timestamptz; NULL for aggregated paths */
	const int64 *id;			/* may be NULL */
	const int64 *session;		/* may be NULL; CDP_NO_ID = none */
	int64		conversions;	/* 1/0 from touches, anything from aggregated */
	int64		nulls;			/* paths; negative ones subtract */
	int128		value_micro;	/* net of refunds, all conversions together */
	int64		ended_at;		/* time of the conversion or of the last touch */
	int64		conversion_id;	/* CDP_NO_ID = none */
	int64		conversion_session;
	uint32		conversion_label;	/* CDP_NO_LABEL = none */
	int			anchor[CDP_MAX_MILESTONES]; /* last touch before the milestone, -1 = none */
	const char *customer;		/* for credits only, else NULL */
} CdpJourney;

#define CDP_NO_ID PG_INT64_MIN

/* settings.c */
extern CdpPassMemory cdp_attribution_memory;
extern void cdp_attribution_settings(void);

/* options.c */
extern CdpOptions *cdp_options_from_jsonb(Jsonb *jsonb, MemoryContext cxt);
extern CdpOptions *cdp_options_from_text(const char *json, MemoryContext cxt);
extern void cdp_options_write(const CdpOptions *o, StringInfo buf);
extern bool cdp_options_equal(const CdpOptions *a, const CdpOptions *b, const char **which);

/* modelname.c */
extern void cdp_model_parse(const char *text, const CdpOptions *o, CdpModel *model);

/* modelname.c */
extern void cdp_labels_refuse_reserved(const CdpLabels *labels);

/* rules.c: pure C, arrays in, arrays out */
typedef struct CdpRuleWork
{
	double	   *weight;			/* room for a journey */
	uint32	   *stamp;			/* [labels] */
	uint32	   *times;			/* [labels] */
	uint32		round;
} CdpRuleWork;

extern bool cdp_rule_by_length(const CdpModel *model);
extern int64 cdp_rule_units(const CdpModel *model, const CdpOptions *o, const bool *passed_over,
							const CdpJourney *j, CdpRuleWork *work, int64 *units);

#endif							/* CDP_ATTRIBUTION_H */
