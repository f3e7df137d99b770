/* what shmem.c and inbox.c share */
#ifndef FABRIC_SERVER_PG_SHMEM_INTERNAL_H
#define FABRIC_SERVER_PG_SHMEM_INTERNAL_H

#include "server/pg/pg.h"

extern char *shmem_inbox_ring(ChannelSlot *slot);		  /* inbox_capacity() bytes */
extern char *shmem_private_inbox_ring(ChannelSlot *slot); /* shmem_private_inbox_capacity() bytes */
extern size_t shmem_private_inbox_capacity(void);

/* ---- exchange.c: its part of the segment; init once, in the postmaster ---- */
extern Size exchange_bytes(void);
extern void exchange_init(char *place, int tranche);

/* ---- waiters.c: likewise ---- */
extern Size waiters_bytes(void);
extern void waiters_init(char *place, int tranche);

/* ---- answer_times.c: likewise ---- */
extern Size answer_times_bytes(void);
extern void answer_times_init(char *place);

/* ---- node_roles.c: likewise ---- */
extern Size node_roles_bytes(void);
extern void node_roles_init(char *place, int tranche);

/* ---- condition.c: likewise ---- */
extern Size conditions_bytes(void);
extern void conditions_init(char *place, int tranche);

/* ---- contacts.c: likewise ---- */
extern Size contacts_bytes(void);
extern void contacts_init(char *place, int tranche);

#endif
