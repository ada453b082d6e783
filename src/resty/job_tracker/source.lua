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
-- once a second at most, when it is asked for anything; and its poller looks for it as long
-- as somebody waits. What has the same inode is the same file: an
-- inode is not given away again while we have its file open. But one that was truncated is
-- opened again even so: all that is there now, if it is a store, was written later.
--
-- Another file that cannot be opened ends the old store, too: nobody who looks for the jobs
-- finds them in that. While there is no file at the path the old one is served: those who
-- write it may still have it open, and who makes it anew has not come yet.
--
-- A file that this nginx writes stays the one that was opened until nginx is reloaded, and
-- the log says that there is another: jobs that run here are told by the tracker that they
-- began with, and workers that are nobody could not open what root has opened for them.

local ffi = require "ffi"

local source = {}

-- statx(2): its structure is the same on every machine, where stat's is not.
ffi.cdef [[ int statx(int folder, const char *path, int flags, unsigned mask, void *out); ]]
local AT_FDCWD, AT_SYMLINK_NOFOLLOW, STATX_INO = -100, 0x100, 0x100
local ENOENT = 2
local INO, DEV = 32, 136 -- where these eight bytes are, each

local tracker ---@type table? a JobTracker
local path, options ---@type string?, table?
local file      -- which one is open; where it is kept, the last that was seen
local is_kept   -- it is written: no other is opened
local changes = 0 -- of 'tracker'
local tried_at  -- the second of the last attempt to open
local complaint -- what the log was told last, so that it has it once
local is_doubted -- it has lost bytes: it is opened again, whatever is there
local is_unready -- the last attempt met a file that is being made
local why, state -- there is no tracker: message and code
local log       ---@type fun(level: string, message: string)

-- What tells the file at the path from all others; nil: it cannot be seen, and whether that
-- is because there is none. open follows no symbolic link: nor do we.
local function identity()
  local out = ffi.new "uint8_t[256]"
  if ffi.C.statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_INO, out) ~= 0 then
    return nil, ffi.errno() == ENOENT
  end
  return ffi.string(out + INO, 8) .. ffi.string(out + DEV, 8)
end

local function complain(level, message)
  if message ~= complaint then log(level, message) end
  complaint = message
end

-- To be served from now on; nil: none. Whether that is a change.
local function serve(opened, found)
  if not (tracker or opened) then return false end
  if tracker then tracker.close() end
  tracker, file, changes, is_doubted = opened, found, changes + 1, false
  return true
end

-- Takes note that the file could not be opened. One that is being made is a store in some
-- milliseconds: it is told only if it is none a second later.
local function note_failure(message, code, was_missing)
  local _, is_missing = identity()
  local is_making = code == "not_ready" and not is_unready
  local is_absent = was_missing or is_missing or is_making
  why, state = message, is_absent and "absent" or "unreadable"
  if not is_making then complain(is_absent and "warn" or "error", message) end
end

-- Whether what is open stays: it is at the path, or nothing is, or it is kept whatever is there.
local function stays(found, is_missing)
  if not tracker or is_doubted then return false end
  if not found then
    if not is_missing then
      complain("warn", path .. " cannot be looked at; what was opened is served until a reload")
    end
    return true
  end
  if is_kept and found ~= file then
    file = found
    complain("error", path .. " is another file now; the old one is served until a reload")
  end
  return found == file
end

-- Opens the file if none is open, or if it is another. Whether there is another tracker now,
-- or none where there was one.
local function open_again()
  if not path or tried_at == os.time() then return false end
  tried_at = os.time()
  local found, is_missing = identity()
  if stays(found, is_missing) then return false end
  local opened, message, code = require("job_tracker").JobTracker.open(path, options)
  if opened then complain("notice", path .. " is open")
  else note_failure(message, code, is_missing) end
  is_unready = code == "not_ready"
  return serve(opened, found)
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
  tried_at, complaint, is_unready = nil, nil, false
  open_again()
  tried_at, complaint = nil, nil -- a worker begins anew: what fails there is in the log
  return nil
end

---The tracker; or nil, message, and "absent" (there is no store yet) or "unreadable" (the
---log says why). To be asked for anew after everything that yields: it may be closed by then.
---@return table?
---@return string? message
---@return string? code
function source.tracker()
  open_again()
  if tracker then return tracker end
  return nil, why, state
end

---How often the tracker was another: another number, another store, or none.
---@return integer
function source.generation() return changes end

---To be told the code of a list that could not be had. "corrupt" is said of a whole store
---only when its file has lost bytes, not because of damaged jobs.
---@param code string?
function source.doubt(code)
  if code == "corrupt" then is_doubted = not is_kept end
end

---A job's JSON and version as get_json gives them. Two outcomes more: those of a store that
---is not there, as 'tracker' gives them.
---@param id string
---@param known integer? the version, of this generation, that the caller has
---@return string|false|nil json false: it is as known
---@return integer|string? version
---@return string? code
function source.get_json(id, known)
  if not tracker then
    local opened, message, trouble = source.tracker()
    if not opened then return nil, message, trouble end
  end
  local json, version, code = tracker.get_json(id, known)
  if code == "corrupt" then
    source.doubt((select(3, tracker.list_changes(tracker.version(), { limit = 1 }))))
  end
  if json ~= nil or (code and code ~= "corrupt") or not open_again() then
    return json, version, code
  end
  return source.get_json(id) -- not in that store: in this?
end

return source
