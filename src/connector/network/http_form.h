/*
 * http_form.h
 *		What the transport asks of the form of requests and answers.
 */
#ifndef CDP_CONNECTOR_HTTP_FORM_H
#define CDP_CONNECTOR_HTTP_FORM_H

#include "connector/network/http.h"

CDP_NORETURN extern void cdp_http_bad_request(const char *what);
extern void cdp_http_check_request(const CdpHttpRequest *request);
extern char *cdp_http_clean_text(const char *bytes, Size len);
extern const char *cdp_http_find_secret(const char *text, const CdpHttpRequest *request, Size *len);
extern bool cdp_http_names_secret(const char *url, const CdpHttpRequest *request);
extern char *cdp_http_hide_secrets(char *value, const CdpHttpRequest *request);

#endif							/* CDP_CONNECTOR_HTTP_FORM_H */
