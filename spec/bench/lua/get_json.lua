-- Reading a job's text, as an endpoint hands it on. See update_job.lua.

local get_json = ...

---@param load BenchLoad
return function(load)
  local ids = load.ids
  local sum = 0
  for i = 1, #ids do
    sum = sum + #get_json(ids[i])
  end
  return sum
end
