-- The jobs of one process in a plain Lua table, as a script keeps them that needs no
-- more: times are ISO 8601 texts, as all who read the job show them. Spared what our
-- store does besides: no other process sees the jobs, no field is checked, a finished
-- job can become pending, times have whole seconds.

local peer_table = {}

local jobs = {}

local function now() return os.date("!%Y-%m-%dT%H:%M:%SZ") end

function peer_table.create_job(id)
  local time = now()
  jobs[id] = {
    task_id = id, task_type = id:match("^(.*)_"), status = "pending", progress = 0,
    current_step = "Initializing", created_at = time, updated_at = time,
  }
end

function peer_table.update_job(id, fields)
  local job = jobs[id]
  if not job then return nil, "no such job" end
  for name, value in pairs(fields) do job[name] = value end
  job.updated_at = now()
  return true
end

function peer_table.get_job(id) return jobs[id] end

return peer_table
