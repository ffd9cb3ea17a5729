//$ function run_keys(k)
// run_keys.h: the schema of gen/config/keys.lua: the trainer's flags, and what each key changes.
//     RUN_VALUES(name, "value", ...)
//     RUN_KEY(type, name, min, max, changes_results, values, help)
//     KEY(name, changes, shape, absent)
// and of gen/config/foreign.lua: nanoGPT's keys that mean nothing here, and what other tools call a
// key of ours.
//     FOREIGN_KEY(name, instead)
//     OTHER_NAME(name, ours)
#ifdef RUN_VALUES
//$ for _, key in ipairs(k.flags) do
//$ if key.values then
RUN_VALUES($(key.name), $(key.values))
//$ end
//$ end
#endif
#ifdef RUN_KEY
//$ for _, key in ipairs(k.flags) do
RUN_KEY($(key.type), $(key.name), $(key.min), $(key.max), $(tostring(key.changes_results)),
        $(key.values and key.name.."_values" or "NULL"), $(key.help))
//$ end
#endif
#ifdef KEY
//$ for _, key in ipairs(k.keys) do
KEY($(key.name), $(key.changes), $(tostring(key.shape)), $(key.absent))
//$ end
#endif
#ifdef FOREIGN_KEY
//$ for _, key in ipairs(k.foreign) do
FOREIGN_KEY($(key.name), $(key.flag))
//$ end
#endif
#ifdef OTHER_NAME
//$ for _, name in ipairs(k.names) do
OTHER_NAME($(name.name), $(name.ours))
//$ end
#endif
//$ end
