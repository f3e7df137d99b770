/* surface: the functions that SQL can call. Other directories need only this declaration. */
#ifndef FABRIC_SERVER_SURFACE_H
#define FABRIC_SERVER_SURFACE_H

/* called by _PG_init: install the hook that guards against drops, see drop_guard.c */
extern void drop_guard_install(void);

#endif
