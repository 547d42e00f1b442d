/*
 * email.c
 *		What an e-mail address tells about who made it: the mailbox behind it, a name
 *		with a running number, an address of a role.
 */
#include "cdp.h"

#include "access/htup_details.h"
#include "core/normalise.h"
#include "funcapi.h"

CDP_FUNCTION(cdp_email_parts);

/* Domains that are other names of one mail service: the same local part is the same mailbox. */
static const char *const same_service[][2] = {
	{"foxmail.com", "qq.com"}, {"googlemail.com", "gmail.com"}, {"mac.com", "icloud.com"}, {"me.com", "icloud.com"},
	{"pm.me", "proton.me"}, {"protonmail.ch", "proton.me"}, {"protonmail.com", "proton.me"},
	{"ya.ru", "yandex.ru"}, {"yandex.by", "yandex.ru"}, {"yandex.com", "yandex.ru"}, {"yandex.kz", "yandex.ru"}
};

/* Local parts that no single person stands behind. */
static const char *const roles[] = {
	"abuse", "accounting", "accounts", "admin", "administrator", "billing", "career", "careers", "contact", "customerservice",
	"do-not-reply", "donotreply", "enquiries", "enquiry", "feedback", "finance", "hello", "help", "helpdesk", "hostmaster", "hr", "info",
	"information", "inquiries", "inquiry", "invoice", "invoices", "it", "jobs", "kefu", "legal", "mail", "marketing", "media", "news",
	"newsletter", "no-reply", "noreply", "office", "order", "orders", "postmaster", "press", "privacy", "purchase", "purchasing",
	"recruitment", "root", "sales", "security", "service", "services", "shop", "staff", "store", "subscribe", "support", "sysadmin",
	"team", "tech", "unsubscribe", "webmaster", "welcome", "www"
};

/* Compares a word with one of the roles. */
static int
compare_role(const void *word, const void *role)
{
	return strcmp(word, *(const char *const *) role);
}

/* cdp.email_parts(address): the canonical form and what it is made of. */
Datum
cdp_email_parts(PG_FUNCTION_ARGS)
{
	text	   *given = PG_GETARG_TEXT_PP(0);
	CdpForm		form;
	TupleDesc	desc;
	Datum		values[6];
	bool		nulls[6] = {false};
	char	   *at;
	char	   *plus;
	const char *domain;
	int			stem;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (VARSIZE_ANY_EXHDR(given) > CDP_FORM_ROOM || cdp_form_clean(VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given), &form) != CDP_FORM_GOOD ||
		cdp_form_email_gmail(&form, NULL) != CDP_FORM_GOOD)
	{
		memset(nulls, true, sizeof(nulls));
		return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
	}
	at = strchr(form.text, '@');
	*at = '\0';
	domain = at + 1;
	for (int i = 0; i < lengthof(same_service); i++)
		if (strcmp(domain, same_service[i][0]) == 0)
			domain = same_service[i][1];
	/* a tag is what follows the first plus, if something stands before it */
	plus = strchr(form.text, '+');
	if (plus != NULL && plus > form.text)
		*plus = '\0';
	stem = strlen(form.text);
	while (stem > 0 && form.text[stem - 1] >= '0' && form.text[stem - 1] <= '9')
		stem--;
	values[0] = PointerGetDatum(cstring_to_text(psprintf("%s@%s", form.text, domain)));
	values[1] = PointerGetDatum(cstring_to_text(form.text));
	values[2] = PointerGetDatum(cstring_to_text(domain));
	values[3] = PointerGetDatum(cstring_to_text_with_len(form.text, stem));
	/* longer numbers are telephone numbers and ids, not counted up */
	nulls[4] = form.text[stem] == '\0' || strlen(form.text + stem) > 6 || stem < 2;
	if (!nulls[4])
		values[4] = Int32GetDatum(atoi(form.text + stem));
	values[5] = BoolGetDatum(bsearch(form.text, roles, lengthof(roles), sizeof(char *), compare_role) != NULL);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
