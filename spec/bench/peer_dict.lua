-- luacheck: std +ngx_lua
-- Jobs in nginx's shared dict, each a JSON text, as endpoints in Lua keep them. Spared
-- what our store does besides: no field is checked, times have whole seconds and are
-- those of nginx's last turn, and of two updates at once one may be lost. Memory that
-- only workers of this nginx see.

local cjson = require "cjson"

local dict = ngx.shared.jobs

local peer_dict = {}

function peer_dict.set_json(id, text) assert(dict:set(id, text)) end

function peer_dict.get_json(id) return dict:get(id) end

function peer_dict.get_job(id)
  local text = dict:get(id)
  return text and cjson.decode(text)
end

function peer_dict.update_job(id, fields)
  local text = dict:get(id)
  if not text then return nil, "no such job" end
  local job = cjson.decode(text)
  for name, value in pairs(fields) do job[name] = value end
  job.updated_at = ngx.utctime()
  return dict:set(id, cjson.encode(job))
end

return peer_dict
