# A hosted copy of the page: the same page and settings as `make app`, reachable from outside the container, without
# profiling of its host (TUNEBUDGET_HOSTED). No torch: planning needs none.
#   docker build -t tunebudget . && docker run --rm -p 127.0.0.1:8501:8501 tunebudget
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
ENV TUNEBUDGET_HOSTED=1 TUNEBUDGET_DATA_DIR=/home/user/data

RUN useradd --create-home --uid 1000 user
WORKDIR /home/user/app
COPY --chown=user:user . .
RUN python -m pip install -e .

USER user
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["python", "-m", "streamlit", "run", "app.py", "--server.address=0.0.0.0", "--server.port=8501", "--server.headless=true"]
