#include "base/capture_test.h"
#include "tls/files_test.h"
#include "tls/stamp.h"

/* The text of what refuses these options, without the folder. */
static const char *refusal(struct gb__tls_options options)
{
	static char text[512];
	struct gb__tls *tls;
	struct gb_error error = { 0 };
	const char *from = error.text;
	size_t size = 0;

	CHECK(gb__tls_create(&options, &tls, &error) < 0);
	while (*from) {
		if (strncmp(from, folder, strlen(folder)) == 0)
			from += strlen(folder) + 1;
		else
			text[size++] = *from++;
	}
	text[size] = '\0';
	return text;
}

static void write_file(const char *name, const char *const *parts, size_t count)
{
	FILE *file = fopen(in_folder(name), "w");

	for (size_t i = 0; i < count; i++) {
		FILE *from = fopen(in_folder(parts[i]), "r");
		char bytes[8192];
		size_t size = from ? fread(bytes, 1, sizeof(bytes), from) : 0;

		if (from)
			fclose(from);
		else
			fputs(parts[i], file);
		fwrite(bytes, 1, from ? size : 0, file);
	}
	fclose(file);
}

#define REFUSE_FILE(field, name, expected) \
	do { \
		struct gb__tls_options with = server_options(); \
		with.field = in_folder(name); \
		CHECK_STR(refusal(with), expected); \
	} while (0)

TEST(what_is_wrong_with_a_file_is_said_with_its_name)
{
	static const char *const
		reversed[] = { "ca", "cert" },
		*const damaged[] = { "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" },
		*const password[] = { "wrong\n" }, *const right[] = { "wrong\n", "right\n" };
	struct gb__tls_options options;
	struct gb__tls *tls;

	begin();
	write_file("empty", NULL, 0);
	write_file("reversed", reversed, 2);
	write_file("damaged", damaged, 1);
	write_file("passwords", password, 1);
	write_file("der", (const char *const[]){ "0\x82 and so on" }, 1);
	issue_as((struct gb__tls_issue){ .certificate = in_folder("sealed"),
		.key = in_folder("sealed-key"),
		.common_name = "sealed",
		.password = "right" });
	REFUSE_FILE(certificates, "none", "tls-cert: none: No such file or directory");
	REFUSE_FILE(certificates, "empty", "tls-cert: empty: is empty");
	REFUSE_FILE(certificates, "", "tls-cert: : is no file");
	REFUSE_FILE(certificates, "key", "tls-cert: key: holds a key, and no certificate");
	REFUSE_FILE(certificates, "der",
		"tls-cert: der: is DER; PEM is what is read (openssl x509 -inform DER -in FILE)");
	REFUSE_FILE(certificates, "damaged", "tls-cert: damaged: its certificate is damaged");
	REFUSE_FILE(certificates, "reversed",
		"tls-cert: reversed: the chain is out of order: certificate 1 is not by certificate 2; write the server's own "
		"first, then each one's issuer");
	REFUSE_FILE(keys, "none", "tls-key: none: No such file or directory");
	REFUSE_FILE(keys, "cert", "tls-key: cert: holds no private key in PEM");
	REFUSE_FILE(keys, "ca-key", "tls-key: ca-key: the key is not that of the certificate in cert");
	REFUSE_FILE(keys, "sealed-key",
		"tls-key: sealed-key: the key is encrypted, and tls-password-file names no file with its password");
	REFUSE_FILE(ocsp, "cert", "tls-ocsp: cert: is no response of OCSP in DER");
	respond(V_OCSP_CERTSTATUS_REVOKED);
	REFUSE_FILE(ocsp, "ocsp", "tls-ocsp: ocsp: says that the certificate is not good");
	options = server_options();
	options.certificates = in_folder("sealed");
	options.keys = in_folder("sealed-key");
	options.password_file = in_folder("passwords");
	CHECK_STR(refusal(options), "tls-key: sealed-key: no password of tls-password-file opens the key");
	write_file("passwords", right, 2);
	tls = create(options);
	gb__tls_destroy(tls);
	options = server_options();
	options.verify = GB__TLS_VERIFY_REQUIRED;
	CHECK_STR(refusal(options), "tls-client-cert: whose certificates are good? tls-client-ca names none");
	options.ca = in_folder("key");
	CHECK_STR(refusal(options), "tls-client-ca: key: holds a key, and no certificate");
	folder_remove();
}

TEST(options_that_mean_nothing_are_refused)
{
	struct gb__tls_options options;

	begin();
	options = server_options();
	options.certificates = NULL;
	CHECK_STR(refusal(options), "tls: a server needs a certificate: tls-cert");
	options = server_options();
	options.versions = "1.1";
	CHECK_STR(refusal(options), "tls-version: \"1.1\" is neither 1.2 nor 1.3");
	options = server_options();
	options.ciphers = "nonsense";
	CHECK_STR(refusal(options), "tls-ciphers: nonsense: no cipher match");
	options = server_options();
	options.alpn = "h2,,x";
	CHECK_STR(refusal(options),
		"tls-alpn: \",x\": names of 1 to 255 bytes, separated by commas, 1 KiB in all, as h2,http/1.1");
	options = server_options();
	options.keys = "a,b";
	CHECK_STR(refusal(options), "tls-key: 2 files for the 1 of tls-cert");
	folder_remove();
}

static void start_with_an_expired_one(void)
{
	struct gb__tls_options options;

	folder_make();
	issue_as((struct gb__tls_issue){ .certificate = in_folder("cert"),
		.key = in_folder("key"),
		.common_name = "old",
		.from_s = -2 * DAY_S,
		.until_s = -DAY_S });
	options = server_options();
	gb__tls_destroy(create(options));
	folder_remove();
}

TEST(expired_certificate_is_served_with_a_warning)
{
	char text[512];

	CHECK_INT(capture(start_with_an_expired_one, text, sizeof(text)), 0);
	CHECK(strstr(text, "warning: tls-cert: ") && strstr(text, "/cert: the certificate has expired: "));
}

TEST(file_is_another_when_it_says_something_else_however_soon)
{
	struct gb__tls_stamp stamp = { 0 };

	folder_make();
	write_file("file", (const char *const[]){ "one" }, 1);
	CHECK(gb__tls_stamp_take(&stamp, in_folder("file")));
	CHECK(!gb__tls_stamp_take(&stamp, in_folder("file")));
	write_file("file", (const char *const[]){ "two" }, 1);
	CHECK(gb__tls_stamp_take(&stamp, in_folder("file")));
	write_file("file", (const char *const[]){ "two" }, 1);
	CHECK(!gb__tls_stamp_take(&stamp, in_folder("file")));
	CHECK(unlink(in_folder("file")) == 0);
	CHECK(gb__tls_stamp_take(&stamp, in_folder("file")));
	CHECK(!gb__tls_stamp_take(&stamp, in_folder("file")));
	folder_remove();
}
