-- source: the tracker that the requests are answered from. Knows whether it is the
-- one in memory or a file, and when a file is opened: as soon as it is there, and anew
-- when another has taken its place. Knows no HTTP.
--
-- A file that this nginx only reads is opened read-only. setup tries at once, in
-- nginx's master: a file that only root may read stays readable in workers that run
-- as nobody, since they inherit the open store. Where there is none yet, each worker
-- tries again when a request needs it, once a second at most.
--
-- A file put in the place of the one that is open is another store. A worker looks for
-- it when it is asked for a job that the open one does not have.

local source = {}

local tracker ---@type table? a JobTracker
local path, options ---@type string?, table?
local tried_at  -- the second of the last attempt to open
local complaint -- what that failed of, so that the log has it once
local log       ---@type fun(level: string, message: string)

local function open_again()
  if not path or tried_at == os.time() then return false end
  tried_at = os.time()
  local opened, message = require("job_tracker").JobTracker.open(path, options)
  if opened and tracker then tracker.close() end
  tracker = opened or tracker
  if message ~= complaint then
    complaint = message
    log(opened and "notice" or "warn", message or path .. " is open")
  end
  return opened ~= nil
end

---@param settings table
---@param logger fun(level: string, message: string)
---@return string? trouble why a store that is to be written cannot be
function source.use(settings, logger)
  local JobTracker = require("job_tracker").JobTracker
  log = logger
  path, tracker, options = settings.store, nil, {}
  if not path then
    tracker = JobTracker
    return nil
  end
  for name, value in pairs(settings.store_options or {}) do options[name] = value end
  if settings.writes then
    local opened, message = JobTracker.open(path, options)
    tracker = opened
    return not opened and message or nil
  end
  options.readonly = true
  tried_at, complaint = nil, nil
  open_again()
  tried_at, complaint = nil, nil -- a worker begins anew: what fails there is in the log
  return nil
end

---The tracker, or nil while there is none.
---@return table?
function source.tracker()
  if not tracker then open_again() end
  return tracker
end

---A job's JSON and version as get_json gives them. One outcome more: nil, message,
---"unavailable" while there is no store.
---@param id string
---@return string? json
---@return integer|string? version
---@return string? code
function source.get_json(id)
  local from = source.tracker()
  if not from then return nil, "the store cannot be opened", "unavailable" end
  local json, version, code = from.get_json(id)
  if json or code or not options or not options.readonly or not open_again() then
    return json, version, code
  end
  return tracker.get_json(id) -- not in that store: in this?
end

return source
