#include "tls/certificate_test_driver.h"
#include "tls/issue.h"

#include "harness.h"

#include <stdlib.h>
#include <unistd.h>

static struct gb__tls *create(const struct gb__tls_options *options)
{
	struct gb_error error;
	struct gb__tls *tls;

	if (gb__tls_create(options, &tls, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
	return tls;
}

struct gb__tls *tls_server(void)
{
	char folder[] = "/tmp/gearbox-test-XXXXXX", certificate[64], key[64];
	struct gb_error error;
	struct gb__tls *tls;

	CHECK(mkdtemp(folder));
	snprintf(certificate, sizeof(certificate), "%s/cert", folder);
	snprintf(key, sizeof(key), "%s/key", folder);
	if (gb__tls_issue(&(struct gb__tls_issue){ .certificate = certificate,
				  .key = key,
				  .common_name = "localhost",
				  .from_s = -60,
				  .until_s = 3600 },
		    &error) < 0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
	tls = create(&(struct gb__tls_options){ .server = true,
		.ticket_ms = 3600000,
		.certificates = certificate,
		.keys = key,
		.versions = "1.2" });
	unlink(certificate);
	unlink(key);
	rmdir(folder);
	return tls;
}

struct gb__tls *tls_client(void)
{
	return create(&(struct gb__tls_options){ .versions = "1.2" });
}
