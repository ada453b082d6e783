-- source: the tracker that the requests are answered from. Knows whether it is the
-- one in memory or a file, and when a file is opened: as soon as it is there, and anew
-- when another has taken its place. Knows no HTTP.
--
-- A file that this nginx only reads is opened read-only. setup tries at once, in
-- nginx's master: a file that only root may read stays readable in workers that run
-- as nobody, since they inherit the open store. Where there is none yet, each worker
-- tries again when a request needs it, once a second at most.
--
-- A file put in the place of the one that is open is another store. A worker looks for it,
-- once a second at most, when it is asked for more than a job that it has; and its poller
-- looks for it as long as somebody waits. What has the same inode is the same file: an
-- inode is not given away again while we have its file open. But one that was truncated is
-- opened again even so: all that is there now, if it is a store, was written later.
--
-- A file that this nginx writes stays the one that was opened until nginx is reloaded, and
-- the log says that there is another: jobs that run here are told by the tracker that they
-- began with, and workers that are nobody could not open what root has opened for them.

local ffi = require "ffi"

local source = {}

-- statx(2): its structure is the same on every machine, where stat's is not.
ffi.cdef [[ int statx(int folder, const char *path, int flags, unsigned mask, void *out); ]]
local AT_FDCWD, STATX_INO = -100, 0x100
local INO, DEV = 32, 136 -- where these eight bytes are, each

local tracker ---@type table? a JobTracker
local path, options ---@type string?, table?
local file      -- which one is open; where it is kept, the last that was seen
local is_kept   -- it is written: no other is opened
local opened_count = 0
local tried_at  -- the second of the last attempt to open
local complaint -- what that failed of, so that the log has it once
local log       ---@type fun(level: string, message: string)

-- What tells the file at the path from all others; nil: there is none to be seen.
local function identity()
  local out = ffi.new "uint8_t[256]"
  if ffi.C.statx(AT_FDCWD, path, 0, STATX_INO, out) ~= 0 then return nil end
  return ffi.string(out + INO, 8) .. ffi.string(out + DEV, 8)
end

-- Opens the file if none is open, or if it is another. Whether it did.
local function open_again()
  if not path or tried_at == os.time() then return false end
  tried_at = os.time()
  local found = identity()
  if tracker and (not found or found == file) then return false end
  if is_kept then
    file = found
    log("warn", path .. " is another file now; the old one is served until nginx is reloaded")
    return false
  end
  local opened, message = require("job_tracker").JobTracker.open(path, options)
  if message ~= complaint then
    complaint = message
    log(opened and "notice" or "warn", message or path .. " is open")
  end
  if not opened then return false end
  if tracker then tracker.close() end
  tracker, file, opened_count = opened, found, opened_count + 1
  return true
end

-- What is wrong with 'options', if anything is. open reads them before it looks at the file,
-- and a folder is never a store; called by pcall, it names no line.
local function mistake_in_options()
  local called, message = pcall(require("job_tracker").JobTracker.open, "/", options)
  return not called and message:gsub("^open: ", "store_options: ") or nil
end

---@param settings table
---@param logger fun(level: string, message: string)
---@return string? trouble a wrong option, or why a store that is to be written cannot be
function source.use(settings, logger)
  local JobTracker = require("job_tracker").JobTracker
  log = logger
  path, tracker, options, is_kept = nil, nil, {}, false
  for name, value in pairs(settings.store_options or {}) do options[name] = value end
  local mistake = mistake_in_options()
  if mistake then return mistake end
  if not settings.store then
    tracker = JobTracker
    return nil
  elseif settings.writes then
    local opened, message = JobTracker.open(settings.store, options)
    path, tracker, is_kept = settings.store, opened, true
    file = identity()
    return not opened and "the store cannot be opened: " .. message or nil
  end
  path, options.readonly = settings.store, true
  tried_at, complaint = nil, nil
  open_again()
  tried_at, complaint = nil, nil -- a worker begins anew: what fails there is in the log
  return nil
end

---The tracker, or nil while there is none. To be asked for anew after everything that
---yields: it may be closed by then.
---@return table?
function source.tracker()
  open_again()
  return tracker
end

---How often a file was opened: another number, another store.
---@return integer
function source.generation() return opened_count end

---To be told the code of a list that could not be had. "corrupt" is said of a whole store
---only when its file has lost bytes, not because of damaged jobs.
---@param code string?
function source.doubt(code)
  if code == "corrupt" then file = nil end
end

---A job's JSON and version as get_json gives them. One outcome more: nil, message,
---"unavailable" while there is no store.
---@param id string
---@param known integer? the version, of this generation, that the caller has
---@return string|false|nil json false: it is as known
---@return integer|string? version
---@return string? code
function source.get_json(id, known)
  local from = tracker or source.tracker()
  if not from then return nil, "the store cannot be opened", "unavailable" end
  local json, version, code = from.get_json(id, known)
  if code == "corrupt" then
    source.doubt((select(3, from.list_changes(from.version(), { limit = 1 }))))
  end
  if json ~= nil or (code and code ~= "corrupt") or not open_again() then
    return json, version, code
  end
  return tracker.get_json(id) -- not in that store: in this?
end

return source
