/*
 * consenter_rules.c: may an orderer accept an update that changes the consenters?
 * (orderer/consensus/etcdraft/chain.go, ValidateConsensusMetadata; membership.go,
 * UnacceptableQuorumLoss; util.go, validateConsenterTLSCerts)
 *
 * Raft changes one voter at a time, so an update adds, removes or replaces one consenter
 * (consenter_ids_follow). The certificates of all consenters must be issued by the TLS CA of an
 * orderer organization of the new configuration, because the other consenters would not let them
 * connect otherwise; those of a new or replaced one must also be valid now. And the consenters that
 * are active must be able to order without the one that changes: a new one has
 * to catch up first, and one with a new certificate has to install it.
 *
 * These rules are of orderers only. They depend on the clock and on who is active, so other nodes
 * cannot repeat them.
 */
#include "core/config/config.h"

#include "core/identity/identity.h"

#include <inttypes.h>

static FbStatus
rules_check_certificate(const ConfigBundle *bundle, const ConfigConsenter *consenter, FbBytes pem,
						const char *kind, bool must_be_valid, int64_t now, FbError *error)
{
	CryptoCertificate *certificate;
	FbStatus status = FB_INVALID_CERTIFICATE;

	FB_TRY(crypto_certificate_parse(pem, &certificate, error));
	for (size_t i = 0; i < bundle->orderer_organizations_count && status != FB_OK; i++)
	{
		const Msp *msp = msp_manager_find(bundle->msps, bundle->orderer_organizations[i].msp_id);

		status =
			msp == NULL
				? FB_INVALID_CERTIFICATE
				: msp_check_tls_certificate(msp, certificate,
											must_be_valid
												? now
												: crypto_certificate_not_before(certificate) + 1,
											error);
		if (status == FB_OUT_OF_MEMORY || status == FB_CRYPTO_FAILURE ||
			status == FB_CERTIFICATE_EXPIRED)
			break;
	}
	crypto_certificate_free(certificate);
	if (status == FB_OK || status == FB_OUT_OF_MEMORY || status == FB_CRYPTO_FAILURE)
		return status;
	if (status == FB_CERTIFICATE_EXPIRED)
	{
		fb_fail(error, FB_CERTIFICATE_EXPIRED,
				"TLS %s certificate of consenter %s:%u is not valid now", kind, consenter->host,
				consenter->port);
		fb_error_hint(error, "Put a certificate into the update that is valid when it is ordered.");
		return FB_CERTIFICATE_EXPIRED;
	}
	fb_fail(
		error, FB_INVALID_CONFIG,
		"TLS %s certificate of consenter %s:%u is not issued by an orderer organization of the channel",
		kind, consenter->host, consenter->port);
	fb_error_hint(
		error,
		"Its issuer must be among the TLS root certificates of an orderer organization's MSP.");
	return FB_INVALID_CONFIG;
}

/*
 * Are the active consenters enough without the one that changes? A channel of one or two
 * cannot lose any, so it may be enlarged or have a certificate replaced without this.
 */
static FbStatus
rules_check_quorum(const ConsenterIds *next, const ConsenterChange *change,
				   const ActiveConsenters *active, FbError *error)
{
	uint32_t quorum = next->count / 2 + 1;
	uint32_t active_count = 0;

	for (uint32_t i = 0; i < active->count; i++)
		if (consenter_ids_has(next, active->ids[i]) && active->ids[i] != change->added_id &&
			active->ids[i] != change->rotated_id)
			active_count++;
	if ((change->removed_id == 0 && next->count <= 2) || active_count >= quorum)
		return FB_OK;
	fb_fail(error, FB_INVALID_CONFIG, "too few consenters are active for this change");
	fb_error_detail(error,
					"Of the %" PRIu32 " consenters after it, %" PRIu32
					" are active without the one that changes; a leader needs %" PRIu32 ".",
					next->count, active_count, quorum);
	fb_error_hint(error, "Bring the other consenters back first; see fabric.stat_raft_followers.");
	return FB_INVALID_CONFIG;
}

FbStatus
config_check_consenters(const ConfigBundle *current, const ConsenterIds *ids,
						const ConfigBundle *next, const ActiveConsenters *active, int64_t now,
						FbError *error)
{
	ConsenterIds after;
	ConsenterChange change;

	FB_TRY(consenter_ids_follow(ids, current, next, &after, &change, error));
	for (size_t i = 0; i < next->consenters_count; i++)
	{
		const ConfigConsenter *consenter = &next->consenters[i];
		uint64_t id = after.ids[i];
		bool is_new = id == change.added_id || id == change.rotated_id;

		FB_TRY(rules_check_certificate(next, consenter, consenter->client_tls_certificate, "client",
									   is_new, now, error));
		FB_TRY(rules_check_certificate(next, consenter, consenter->server_tls_certificate, "server",
									   is_new, now, error));
	}
	if (active == NULL ||
		(change.added_id == 0 && change.removed_id == 0 && change.rotated_id == 0))
		return FB_OK;
	return rules_check_quorum(&after, &change, active, error);
}
