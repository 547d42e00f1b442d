/*
 * keyfile.h
 *		The keys of this server, read from the file that cdp.key_file names.
 */
#ifndef CDP_KEYFILE_H
#define CDP_KEYFILE_H

#include "cdp.h"

#define CDP_KEY_BYTES		32		/* a key, a subkey, a digest: 256 bits each */
#define CDP_KEY_MAX_ID		32767
#define CDP_KEY_MAX_COUNT	256

extern void cdp_keyfile_settings(void);
extern bool cdp_keyfile_is_set(void);
extern int	cdp_keyfile_newest(void);
extern int	cdp_keyfile_ids(int16 *ids);
extern const uint8 *cdp_keyfile_key(int key_id);
extern uint64 cdp_keyfile_generation(void);

#endif							/* CDP_KEYFILE_H */
