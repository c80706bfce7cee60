//! Every foreign signature: functions that are looked up at run time, since they are not on every Windows.
