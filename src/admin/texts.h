/* texts.h - the SQL texts of sql/, embedded by embed.sh. Each file says which variables it has; script.h fills them. */
#ifndef PGOUTBOX_ADMIN_TEXTS_H
#define PGOUTBOX_ADMIN_TEXTS_H

extern const char text_schema[];
extern const char text_schema_2[];
extern const char text_schema_3[];
extern const char text_table[];
extern const char text_claim_index[];
extern const char text_drop_index[];
extern const char text_register[];
extern const char text_notify[];
extern const char text_grants[];
extern const char text_grant_delete[];
extern const char text_receipt_columns[];
extern const char text_grant_receipt_columns[];
extern const char text_grant_receipts[];

#endif
