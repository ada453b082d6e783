-- The least that update_job must do in Lua, were it written in that: checks the table of
-- fields, and stores nothing. On LuaJIT it is compiled. See floor.c.

local floor_table = {}

local kind = { progress = "number", current_step = "string" }

function floor_table.update_job(id, fields)
  if type(id) ~= "string" then error("no id", 2) end
  if type(fields) ~= "table" then error("no fields", 2) end
  for name, value in pairs(fields) do
    if type(value) ~= kind[name] then error("unknown field, or a wrong type", 2) end
  end
  return true
end

return floor_table
