--- The store file that a pipeline writes, opened read-only, in every nginx worker.
--- Knows when to open it (as soon as it is there) and when to open it anew; must not
--- know HTTP.
---
--- `use` tries at once, in nginx's master: a file that only root may read stays
--- readable in workers that run as nobody, since they inherit the open store. Where
--- that fails, because the pipeline has not made the file yet, each worker tries again
--- when a request needs it. It then needs the right to read it: have the pipeline make
--- it with `mode = "0640"` and a group of nginx's.
---
--- A file put in the place of the one that is open is another store. A worker finds it
--- when it is asked for a job that the open one does not have; jobs of the old one are
--- served until then.

local JobTracker = require("job_tracker").JobTracker

local job_file = {}

local path      ---@type string
local jobs      -- the open tracker, or nil
local tried_at  -- the second of the last attempt to open: there is one a second at most
local complaint -- what the last attempt failed of, so that the log has it once

local function open_again()
  if tried_at == os.time() then return false end
  tried_at = os.time()
  local opened, message = JobTracker.open(path, { readonly = true })
  if opened and jobs then jobs.close() end
  jobs = opened or jobs
  if message ~= complaint then
    complaint = message
    ngx.log(opened and ngx.NOTICE or ngx.WARN, "job store: ", message or "open")
  end
  return opened ~= nil
end

---Says which file, once, in init_by_lua.
---@param file string
function job_file.use(file)
  if not file then error("the store file's path is missing: is JOB_STORE set?", 2) end
  path = file
  open_again()
  -- A worker begins anew: what fails there is in the error log.
  tried_at, complaint = nil, nil
end

---The job's JSON and its version, as a tracker's get_json gives them. One outcome
---more: `nil, message, "unavailable"` while there is no store.
---@param id string
---@return string? json, integer|string? version, string? code
function job_file.get_json(id)
  if not jobs and not open_again() then
    return nil, "the store cannot be opened", "unavailable"
  end
  local json, version, code = jobs.get_json(id)
  if not json and not code and open_again() then -- not in this store: in another?
    return jobs.get_json(id)
  end
  return json, version, code
end

return job_file
