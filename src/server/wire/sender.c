/* sender.c: the identity of this backend's client, by its TLS client certificate */
#include "server/wire/wire.h"

/*
 * If the server was built with GSSAPI, libpq-be.h includes Kerberos headers. Without them struct
 * Port has the same layout, as a comment there promises to extensions.
 */
#undef ENABLE_GSS
#include "libpq/libpq-be.h"
#include "miscadmin.h"

#include <openssl/x509.h>

#ifndef USE_OPENSSL
#error "the server must be built with OpenSSL: nodes know each other by their TLS certificates"
#endif

FbStatus
wire_sender_certificate(FbBytes *der, FbError *error)
{
	unsigned char *data;
	unsigned char *position;
	int size;

	*der = FB_BYTES_EMPTY;
	/*
	 * ssl_in_use is set once the handshake is complete; peer is the certificate that the server
	 * has verified against ssl_ca_file
	 */
	if (MyProcPort == NULL || !MyProcPort->ssl_in_use || MyProcPort->peer == NULL ||
		!MyProcPort->peer_cert_valid)
	{
		fb_fail(error, FB_ACCESS_DENIED, "connection has no TLS client certificate");
		fb_error_hint(
			error,
			"Nodes connect with fabric.tls_certificate_file; pg_hba.conf must ask for it with \"hostssl ... cert\".");
		return FB_ACCESS_DENIED;
	}
	size = i2d_X509(MyProcPort->peer, NULL);
	if (size <= 0)
		return fb_fail(error, FB_CRYPTO_FAILURE, "could not encode the TLS client certificate");
	data = palloc(size);
	position = data;
	if (i2d_X509(MyProcPort->peer, &position) != size)
		return fb_fail(error, FB_CRYPTO_FAILURE, "could not encode the TLS client certificate");
	*der = fb_bytes(data, (size_t) size);
	return FB_OK;
}
