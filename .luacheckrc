-- 'max' is everything that any Lua has: the code runs on 5.4 and on LuaJIT.
std = "max"
include_files = { "**/*.lua", "rockspec/*.rockspec", ".luacheckrc" }
exclude_files = { "build" }

files["**/*_spec.lua"].std = "+busted"
files["spec/support"].std = "+busted"

-- What runs in nginx.
files["src/resty"].std = "+ngx_lua"
files["examples/openresty"].std = "+ngx_lua"

-- LuaLS reads it, nobody runs it: functions without bodies.
files["src/job_tracker.meta.lua"].ignore = { "211", "212" }
