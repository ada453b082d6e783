-- Reading one field of a job, as an endpoint does. See update_job.lua.

local get_job = ...

---@param load BenchLoad
return function(load)
  local ids = load.ids
  local sum = 0
  for i = 1, #ids do
    sum = sum + get_job(ids[i]).progress
  end
  return sum
end
