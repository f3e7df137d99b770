/* surface: what SQL can call. The rest of the extension needs nothing of it but this. */
#ifndef FABRIC_SERVER_SURFACE_H
#define FABRIC_SERVER_SURFACE_H

/* from _PG_init: watch over drops, see drop_guard.c */
extern void drop_guard_install(void);

#endif
