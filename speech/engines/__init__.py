"""What can hear: Whisper in this process, or a server of transcriptions."""
