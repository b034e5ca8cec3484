#include "certificate.h"

#include "tls/issue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DAY_S (24 * 3600)

int gb__certificate_make(struct certificate *ret, struct gb_error *error)
{
	const char *folder = getenv("TMPDIR");
	struct certificate made = { 0 };
	struct gb__tls_issue what = { .certificate = made.certificate,
		.key = made.key,
		.common_name = "localhost",
		.names = "DNS:localhost,IP:127.0.0.1",
		.from_s = -DAY_S,
		.until_s = 7 * DAY_S };
	int result;

	*ret = made;
	snprintf(made.folder, sizeof(made.folder), "%s/gearbox-XXXXXX", folder && *folder ? folder : "/tmp");
	if (!mkdtemp(made.folder)) {
		result = -errno;
		return gb_error_set(error, result, "no folder for a certificate: %s: %s", made.folder,
			gb_strerror(result));
	}
	snprintf(made.certificate, sizeof(made.certificate), "%s/cert.pem", made.folder);
	snprintf(made.key, sizeof(made.key), "%s/key.pem", made.folder);
	result = gb__tls_issue(&what, error);
	if (result < 0)
		gb__certificate_remove(&made);
	else
		*ret = made;
	return result;
}

void gb__certificate_remove(struct certificate *certificate)
{
	if (!*certificate->folder)
		return;
	unlink(certificate->certificate);
	unlink(certificate->key);
	rmdir(certificate->folder);
	*certificate = (struct certificate){ 0 };
}
