/* secret_files.h - the secrets that a configuration keeps in files of their own. */
#ifndef PGOUTBOX_CONFIG_SECRET_FILES_H
#define PGOUTBOX_CONFIG_SECRET_FILES_H

#include "config/config.h"

/* Reads password_file, sslpassword_file and property_files into the passwords and kafka.secrets, and looks whether
 * everybody could read them. beside: as for config_load_beside(). */
void secret_files_load(struct config *cfg, bool beside, struct config_problems *problems);

#endif
